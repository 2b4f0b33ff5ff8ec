# SPDX-License-Identifier: MIT
# gnuplot -e 'prefix = "build/bench"; format = "EPT"' plot.gp: draws PREFIX-*.tsv as PREFIX-*.svg.
set datafile separator "\t"
set datafile missing "-"
set terminal svg size 1100,600 font "sans-serif,14" background "white"
set encoding utf8
set grid xtics ytics linetype 1 linecolor rgb "#dddddd"
set tics nomirror
set border 3
set key outside right center vertical Left reverse samplen 3

# What is mapped is drawn through, what is unmapped dashed.
array color[9] = ["#1f77b4", "#1f77b4", "#17a2a2", "#17a2a2", "#2ca02c", "#2ca02c", "#d62728", \
	"#ff7f0e", "#ff7f0e"]
array dash[9] = [1, 2, 1, 2, 1, 2, 1, 1, 2]
do for [i = 1:9] {
	set linetype i linecolor rgb color[i] dashtype dash[i] linewidth 1.8 pointtype 7 pointsize 0.35
}

set ylabel "time of one call"
set logscale y 10
set ytics ("10 ns" 1e1, "100 ns" 1e2, "1 µs" 1e3, "10 µs" 1e4, "100 µs" 1e5, "1 ms" 1e6, \
	"10 ms" 1e7, "100 ms" 1e8, "1 s" 1e9)

set output prefix."-sizes.svg"
set title format.": cost against the size of the range"
set xlabel "size of the range"
set logscale x 2
set xrange [2.**12:2.**46]
set yrange [10:1e9]
set xtics ("4 KiB" 2.**12, "64 KiB" 2.**16, "2 MiB" 2.**21, "32 MiB" 2.**25, "1 GiB" 2.**30, \
	"32 GiB" 2.**35, "1 TiB" 2.**40, "64 TiB" 2.**46)
plot for [i = 2:10] prefix."-sizes.tsv" using 1:i with linespoints linetype i - 1 title columnhead

set output prefix."-regions.svg"
set title format.": cost against the number of regions"
set xlabel "regions in the space, mapped at random"
set logscale x 10
set xrange [9:1.1e6]
set yrange [5:3e3]
set xtics ("10" 1e1, "100" 1e2, "1,000" 1e3, "10,000" 1e4, "100,000" 1e5, "1,000,000" 1e6)
array kind[3] = [1, 5, 7]
plot for [i = 2:4] prefix."-regions.tsv" using 1:i with linespoints linetype kind[i - 1] dashtype 1 \
	title columnhead

set output prefix."-cpus.svg"
set title format.": pages resolved by faults"
unset logscale
unset xlabel
set ylabel "million pages per second"
set xtics autofreq
set ytics autofreq
set xrange [*:*]
set yrange [0:*]
set style data histograms
set style histogram clustered gap 1
set style fill solid border
plot for [i = 2:3] prefix."-cpus.tsv" using (column(i) / 1e6):xtic(1) linetype (i == 2 ? 1 : 8) \
	title columnhead

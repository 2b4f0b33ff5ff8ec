# SPDX-License-Identifier: MIT
# The work of `stack`. A node is named "function", or "file.c:function" if it is static.

function defect(text)
{
	print arch ": " text
	defects++
}

function bare(node) # the function's name, without its file and the suffix of a clone
{
	sub(/^.*:/, "", node)
	sub(/\..*$/, "", node)
	return node
}

function field(name,    value)
{
	if (!match($0, name ": \"[^\"]*\""))
		return ""
	value = substr($0, RSTART, RLENGTH - 1)
	sub(/^[^"]*"/, "", value)
	return value
}

# The name that the call at file:line:column goes through: the last word before its parenthesis.
function called_name(place,    part, text, line, n)
{
	n = split(place, part, ":")
	if (n < 3)
		return ""
	for (line = 1; (getline text < part[1]) > 0; line++)
		if (line == part[2])
			break
	close(part[1])
	text = substr(text, part[3])
	sub(/[ \t]*\(.*$/, "", text)
	sub(/^.*[^A-Za-z0-9_]/, "", text)
	return text
}

function read_table(    text, part, i, n, pattern)
{
	while ((getline text < table) > 0) {
		if (text ~ /^[ \t]*(#|$)/)
			continue
		n = split(text, part, /[: \t]+/)
		for (i = 2; i <= n; i++) {
			if (part[i] == "")
				continue
			pattern = part[i]
			gsub(/\*/, ".*", pattern)
			targets[part[1]] = targets[part[1]] " ^" pattern "$"
		}
	}
	close(table)
}

function add_edge(from, to)
{
	if (!((from, to) in known)) {
		known[from, to] = 1
		callees[from] = callees[from] "\n" to
	}
}

# Links one indirect call to all functions that the table names for it.
function resolve(from, place,    name, part, n, i, node, found)
{
	indirect++
	name = called_name(place)
	if (!(name in targets)) {
		defect("indirect call not named in " table ": " from " at " place \
			(name == "" ? "" : ", through " name))
		return
	}
	n = split(targets[name], part, " ")
	for (i = 1; i <= n; i++) {
		if (part[i] == "^embedder$") {
			hooks++
			continue
		}
		if (from ~ /src\/arch\// || place ~ /^src\/arch\//)
			defect("indirect call below the format's operations: " from " at " place)
		found = 0
		for (node in size)
			if (bare(node) ~ part[i]) {
				add_edge(from, node)
				found = 1
			}
		if (!found)
			defect("no function " part[i] " for the call through " name " at " place)
	}
}

# Deepest stack from node on; remembers the way in next_node.
function depth(node,    part, n, i, below)
{
	if (node in deepest)
		return deepest[node]
	if (node in open) {
		defect("recursion through " node)
		return 0
	}
	open[node] = 1
	n = split(callees[node], part, "\n")
	most[node] = 0
	for (i = 2; i <= n; i++) {
		below = depth(part[i])
		if (below > most[node]) {
			most[node] = below
			next_node[node] = part[i]
		}
	}
	delete open[node]
	deepest[node] = size[node] + most[node]
	return deepest[node]
}

function path(node,    text)
{
	for (; node != ""; node = next_node[node])
		text = text (text == "" ? "" : " > ") bare(node) " " size[node] + 0
	return text
}

/^node:/ {
	title = field("title")
	if (match($0, /[0-9]+ bytes \([a-z,]*\)/)) {
		figure = substr($0, RSTART, RLENGTH)
		size[title] = figure + 0
		# "bounded": the figure is the most that it can be.
		if (figure !~ /\((static|dynamic,bounded)\)/)
			defect("frame of " title " is not constant: " figure)
	}
}

/^edge:/ {
	from = field("sourcename")
	to = field("targetname")
	if (to == "__indirect_call")
		calls[++call_count] = from SUBSEP field("label")
	else
		add_edge(from, to)
}

END {
	read_table()
	for (i = 1; i <= call_count; i++) {
		split(calls[i], part, SUBSEP)
		resolve(part[1], part[2])
	}
	n = split(public, name, " ")
	for (i = 1; i <= n; i++) {
		if (!(name[i] in size))
			continue
		count++
		bytes = depth(name[i])
		printf "%s %5d  %s\n", arch, bytes, path(name[i])
		if (bytes > worst) {
			worst = bytes
			worst_name = name[i]
		}
		if (bytes >= limit)
			defect(name[i] " needs " bytes " bytes, the limit is below " limit)
	}
	if (!count)
		defect("no public call found")
	# What no public call reaches is checked for recursion as well.
	for (node in size)
		depth(node)
	printf "%s: at most %d bytes, by %s (%d public calls, %d indirect calls, %d of them hooks)\n", \
		arch, worst, worst_name, count, indirect, hooks
	exit defects > 0
}

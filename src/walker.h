/* SPDX-License-Identifier: MIT */
/*
 * The page-table walker, compiled once for each format: a format's .c defines a constant `struct
 * entry_format` in its own header, names it in ENTRY_FORMAT, includes this file, and lists
 * WALKER_OPERATIONS in its struct addrspace_format.
 */
#ifndef ADDRSPACE_SRC_WALKER_H
#define ADDRSPACE_SRC_WALKER_H

#include "walk_change.h"
#include "walk_collapse.h"
#include "walk_fault.h"
#include "walk_job.h"
#include "walk_map.h"
#include "walk_prefault.h"
#include "walk_release.h"
#include "walk_report.h"

/* clang-format off */
#define WALKER_OPERATIONS                       \
	.map_prepare = walk_map_prepare,        \
	.map_abort = walk_map_abort,            \
	.map_commit = walk_map_commit,          \
	.shadow_build = walk_shadow_build,      \
	.shadow_abort = walk_shadow_abort,      \
	.shadow_graft = walk_shadow_graft,      \
	.change_prepare = walk_change_prepare,  \
	.small_prepare = walk_small_prepare,    \
	.small_finish = walk_small_finish,      \
	.detach = walk_detach,                  \
	.protect = walk_protect,                \
	.finish_cuts = walk_finish_cuts,        \
	.release = walk_release,                \
	.collapse_break = walk_collapse_break,  \
	.collapse_finish = walk_collapse_finish, \
	.take_out = walk_take_out,              \
	.release_some = walk_release_some,      \
	.private_start = walk_private_start,    \
	.private_fill = walk_private_fill,      \
	.sync_path = walk_sync_path,            \
	.allows = walk_allows,                  \
	.mark_dirty = walk_mark_dirty,          \
	.leaf = walk_leaf,                      \
	.next_run = walk_next_run,              \
	.count = walk_count,                    \
	.verify = walk_verify,                  \
	.prefault_prepare = walk_prefault_prepare, \
	.prefault_abort = walk_prefault_abort,  \
	.prefault_commit = walk_prefault_commit, \
	.prefault_some = walk_prefault_some
/* clang-format on */

#endif

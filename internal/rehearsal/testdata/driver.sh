#!/bin/sh
# A driver for tests: every stage says what it was called with, and run runs the
# script here. The environment of each stage is kept in $SEEN.
stage=$1
shift
count=$(find "$SEEN" -mindepth 1 | wc -l)
env -0 | sort -z > "$SEEN/$(printf %02d "$count")-$stage${2:+-$2}"
case $stage in
config)
	printf '%s' "$CONFIG_JSON"
	echo 'a line of config' >&2
	;;
prepare)
	echo 'prepare says hello'
	if [ -n "$PREPARE_EXIT" ]; then
		n=$(cat "$STATE/prepared" 2>/dev/null || echo 0)
		echo $((n + 1)) > "$STATE/prepared"
		exit "$(echo "$PREPARE_EXIT" | cut -d ' ' -f $((n + 1)))"
	fi
	;;
run)
	script=$1
	name=$2
	case " $FAIL_AT " in *" $name "*)
		n=$(cat "$STATE/$name" 2>/dev/null || echo 0)
		echo $((n + 1)) > "$STATE/$name"
		[ "$n" -lt "${FAIL_TIMES:-1}" ] && exit "${FAIL_WITH:-2}"
		;;
	esac
	bash "$script" &
	child=$!
	trap 'kill -TERM $child; wait $child; exit 143' TERM
	wait $child
	code=$?
	[ "$code" = 0 ] && exit 0
	[ -n "$NO_CODE_FILE" ] || echo "${CODE_FILE:-$code}" > "$BUILD_EXIT_CODE_FILE"
	exit "$BUILD_FAILURE_EXIT_CODE"
	;;
cleanup)
	echo 'cleanup works'
	echo 'cleanup warns' >&2
	;;
esac

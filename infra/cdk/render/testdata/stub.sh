#!/bin/bash
# Stands for every command of a host that a test must not really run: it
# writes down how it was called, and answers what the test ordered.
name=${0##*/}
printf '%s %s\n' "$name" "$*" >>"$STUB_LOG"
case $name in
aws)
	case "$1 $2" in
	"s3 cp") cp "$STUB_FILES/${4##*/}" "$5" ;;
	"ssm get-parameter")
		[ -z "$STUB_SSM_FAILS" ] || exit 255
		cat "$STUB_FILES/${4##*/}" ;;
	"secretsmanager get-secret-value") [ -n "$STUB_SECRET" ] && printf '%s\n' "$STUB_SECRET" ;;
	"ec2 wait" | "ec2 attach-volume" | "autoscaling complete-lifecycle-action" | "autoscaling record-lifecycle-action-heartbeat" | "cloudwatch put-metric-data") ;;
	"cloudformation signal-resource") [ -z "$STUB_NOBODY_WAITS" ] ;;
	"ecr get-login-password") echo registry-password ;;
	*) echo "stub: aws $*" >&2; exit 64 ;;
	esac
	;;
curl)
	address=${*: -1}
	case $address in
	*/api/token) echo imds-token ;;
	*/target-lifecycle-state) echo "$STUB_STATE" ;;
	*/instance-id) echo i-0123456789 ;;
	*)
		while [ "$1" != -o ]; do shift; done
		cp "$STUB_FILES/${address##*/}" "$2"
		;;
	esac
	;;
dnf)
	# Called how often? The log tells; the first few may have to fail.
	[ "$(grep -c '^dnf ' "$STUB_LOG")" -gt "${STUB_DNF_FAILS:-0}" ]
	;;
systemctl) [ "$1" != is-active ] || [ -z "$STUB_RUNNER_DOWN" ] ;;
id) exit 1 ;;
blkid) exit "${STUB_BLKID:-0}" ;;
install)
	plain=()
	while [ $# -gt 0 ]; do
		case $1 in
		-o | -g) shift ;;
		*) plain+=("$1") ;;
		esac
		shift
	done
	exec /usr/bin/install "${plain[@]}"
	;;
docker)
	case $1 in
	login) cat >/dev/null ;;
	run) env | grep '^GITLAB_' | cut -d= -f1 | sort >>"$STUB_LOG" ;;
	esac
	;;
esac

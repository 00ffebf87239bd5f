#!/bin/bash
# Makes this host a manager: gitlab-runner, fargate-driver, and the timers that
# keep them configured, drained and clean. Runs once, as root, at first boot.
set -euo pipefail
export AWS_DEFAULT_REGION=[[.Region]]
export PATH=$PATH:/opt/aws/amazon-cloudwatch-agent/bin
root=[[.Root]]
bin=$root/usr/local/bin
etc=$root/etc
work=$(mktemp -d)
install -d "$bin" "$etc/systemd/system" "$etc/logrotate.d" "$root/var/log/ci"
[[template "report.sh" .]]

get() { # get ADDRESS FILE
	case $1 in
	s3://*) aws s3 cp --only-show-errors "$1" "$2" ;;
	*) curl -fsSL --proto '=https' --retry 5 --retry-connrefused -o "$2" "$1" ;;
	esac
}
program() { # program FILE SHA256 NAME: installs a file that is what it should be
	echo "$2  $1" | sha256sum -c --quiet - || { echo "$3: the checksum is not $2; not installed" >&2; exit 1; }
	install -m 0755 "$1" "$bin/$3"
}

[[range .Programs -]]
get [[quote .Address]] "$work/[[.Name]]"
program "$work/[[.Name]]" [[.SHA256]] [[.Name]]
[[end -]]
runner=[[quote .RunnerSource]]/v[[.RunnerVersion]]
file=gitlab-runner-linux-[[.Arch]]
get "$runner/binaries/$file" "$work/gitlab-runner"
sum=[[quote .RunnerSHA256]]
if [ -z "$sum" ]; then
	get "$runner/release.sha256" "$work/release.sha256"
	sum=$(awk -v want="$file" '{ name = $2; sub(/^.*[\/*]/, "", name); if (name == want) print $1 }' "$work/release.sha256")
fi
program "$work/gitlab-runner" "$sum" gitlab-runner
rm -rf "$work"

id -u gitlab-runner >/dev/null 2>&1 || useradd --system --home-dir /var/lib/gitlab-runner --shell /sbin/nologin gitlab-runner
install -d -o gitlab-runner -g gitlab-runner -m 0750 "$etc/gitlab-runner" "$root/var/lib/gitlab-runner" "$root/var/log/fargate-driver"
install -d -o gitlab-runner -g gitlab-runner -m 0700 "$root/var/lib/gitlab-runner/tasks"

cat >"$bin/ci-refresh" <<'EOF'
#!/bin/bash
# Brings the configuration up to date, and the token as soon as it is there.
set -euo pipefail
umask 077
export AWS_DEFAULT_REGION=[[.Region]]
# An alarm watches whether gitlab-runner runs, also when this script fails.
running() {
	if systemctl is-active -q gitlab-runner; then up=1; else up=0; fi
	aws cloudwatch put-metric-data --namespace [[.Namespace]] --metric-name [[.RunnerMetric]] --dimensions [[.Dimension]]=[[.Group]] --value $up || true
}
trap running EXIT
etc=[[.Root]]/etc/gitlab-runner
parameter() { aws ssm get-parameter --name "$1" --query Parameter.Value --output text; }
put() { # put FILE, from stdin: replaces it in one step, and only if it differs
	cat >"$etc/.$1.new"
	if cmp -s "$etc/.$1.new" "$etc/$1"; then rm "$etc/.$1.new"; return; fi
	chown gitlab-runner:gitlab-runner "$etc/.$1.new"
	mv "$etc/.$1.new" "$etc/$1"
}
# No pipes into put: a failed read must not become an empty file.
fargate=$(parameter [[.FargateParameter]])
put fargate.toml <<<"$fargate"
if ! token=$(aws secretsmanager get-secret-value --secret-id [[.TokenSecret]] --query SecretString --output text 2>/dev/null) || [ "${token#glrt-}" = "$token" ]; then
	echo "no runner authentication token (glrt-...) in the secret yet; the stack's outputs have the command"
	exit 0
fi
config=$(parameter [[.ConfigParameter]])
put config.toml <<<"${config//[[.TokenMark]]/"$token"}"
systemctl start gitlab-runner
EOF
cat >"$bin/ci-drain" <<'EOF'
#!/bin/bash
# When Auto Scaling wants this host gone: no new jobs, wait for those that run,
# then say so.
set -euo pipefail
export AWS_DEFAULT_REGION=[[.Region]]
imds=http://169.254.169.254/latest
session=$(curl -fsS -m 5 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' $imds/api/token)
ask() { curl -fsS -m 5 -H "X-aws-ec2-metadata-token: $session" "$imds/meta-data/$1"; }
[ "$(ask autoscaling/target-lifecycle-state)" = Terminated ] || exit 0
instance=$(ask instance-id)
lifecycle() { aws autoscaling "$@" --auto-scaling-group-name [[.Group]] --lifecycle-hook-name [[.Hook]] --instance-id "$instance"; }
systemctl stop ci-refresh.timer
# Auto Scaling waits an hour for a sign of life; jobs may take longer.
(
	trap 'kill "$nap"' EXIT
	trap exit TERM
	while :; do
		sleep 1800 &
		nap=$!
		wait "$nap"
		lifecycle record-lifecycle-action-heartbeat
	done
) >/dev/null 2>&1 &
alive=$!
systemctl stop gitlab-runner # SIGQUIT; returns when the last job has ended
kill "$alive"
systemctl start fargate-driver-reap.service || true
lifecycle complete-lifecycle-action --lifecycle-action-result CONTINUE
EOF
chmod 0755 "$bin/ci-refresh" "$bin/ci-drain"

unit() { cat >"$etc/systemd/system/$1"; }
unit gitlab-runner.service <<'EOF'
[Unit]
Description=GitLab Runner
After=network-online.target
[Service]
User=gitlab-runner
WorkingDirectory=/var/lib/gitlab-runner
ExecStart=/usr/local/bin/gitlab-runner run --config /etc/gitlab-runner/config.toml --working-directory /var/lib/gitlab-runner
Restart=always
RestartSec=10
KillMode=mixed
KillSignal=SIGQUIT
TimeoutStopSec=[[.DrainSeconds]]
NoNewPrivileges=true
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome=true
ProtectKernelTunables=true
ProtectKernelModules=true
ProtectControlGroups=true
RestrictSUIDSGID=true
LockPersonality=true
PrivateDevices=true
PrivateTmp=true
# gitlab-runner keeps its system id beside config.toml.
ReadWritePaths=/var/lib/gitlab-runner /etc/gitlab-runner /var/log/fargate-driver
StandardOutput=append:/var/log/ci/gitlab-runner.log
StandardError=inherit
EOF
unit ci-refresh.service <<'EOF'
[Unit]
Description=Bring gitlab-runner's configuration up to date
[Service]
Type=oneshot
ExecStart=/usr/local/bin/ci-refresh
EOF
unit ci-drain.service <<'EOF'
[Unit]
Description=Let running jobs end before this host does
[Service]
Type=oneshot
TimeoutStartSec=infinity
ExecStart=/usr/local/bin/ci-drain
EOF
unit fargate-driver-reap.service <<'EOF'
[Unit]
Description=Stop tasks that no job owns
ConditionPathExists=/etc/gitlab-runner/fargate.toml
[Service]
Type=oneshot
User=gitlab-runner
ExecStart=/usr/local/bin/fargate-driver reap
StandardOutput=append:/var/log/ci/reap.log
StandardError=inherit
EOF
timer() { # timer NAME EVERY
	printf '[Timer]\nOnBootSec=%s\nOnUnitInactiveSec=%s\n[Install]\nWantedBy=timers.target\n' "$2" "$2" | unit "$1.timer"
}
timer ci-refresh 1min
timer ci-drain 20s
timer fargate-driver-reap 15min

cat >"$etc/logrotate.d/ci" <<'EOF'
/var/log/ci/*.log {
	daily
	rotate 3
	maxsize 100M
	copytruncate
	missingok
	compress
}
/var/log/fargate-driver/*.log {
	su gitlab-runner gitlab-runner
	daily
	rotate 3
	maxsize 100M
	copytruncate
	missingok
	compress
}
EOF
systemctl daemon-reload
systemctl enable --now ci-refresh.timer ci-drain.timer fargate-driver-reap.timer
"$bin/ci-refresh"

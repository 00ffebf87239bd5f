imds=http://169.254.169.254/latest
session=$(curl -fsS -m 5 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 300' $imds/api/token)
instance=$(curl -fsS -m 5 -H "X-aws-ec2-metadata-token: $session" $imds/meta-data/instance-id)
# A deployment waits for this host to say how its first boot went. Nobody waits
# for one that Auto Scaling put in the place of another; then this call fails.
report() {
	if [ "$1" = 0 ]; then status=SUCCESS; else status=FAILURE; fi
	for _ in 1 2 3; do
		if aws cloudformation signal-resource --stack-name [[.Report.Stack]] --logical-resource-id [[.Report.Resource]] --unique-id "$instance" --status $status; then return; fi
		sleep 10
	done
}
trap 'report $?' EXIT
try() { # try COMMAND: until the network carries it, five minutes at most
	for _ in $(seq 30); do
		if "$@"; then return; fi
		sleep 10
	done
	echo "gave up: $*" >&2
	return 1
}
# The agent comes first: it ships the log of what follows.
try dnf install -y -q amazon-cloudwatch-agent
install -d "$etc/amazon-cloudwatch-agent"
cat >"$etc/amazon-cloudwatch-agent/host.json" <<'EOF'
[[.Agent]]
EOF
amazon-cloudwatch-agent-ctl -a fetch-config -m ec2 -s -c "file:$etc/amazon-cloudwatch-agent/host.json"

#!/bin/bash
# Makes this host GitLab's: takes over the data disk, and runs GitLab's own
# image on it. Runs once, as root, at first boot.
set -euo pipefail
export AWS_DEFAULT_REGION=[[.Region]]
export PATH=$PATH:/opt/aws/amazon-cloudwatch-agent/bin
root=[[.Root]]
etc=$root/etc
data=$root/srv/gitlab
volume=[[quote .Volume]]
install -d "$etc/systemd/system" "$etc/gitlab-host" "$root/usr/local/bin" "$data"
[[template "report.sh" .]]

# A disk has one host at a time: this is what keeps two GitLabs apart. The old
# host may need minutes to stop.
aws ec2 wait volume-available --volume-ids "$volume"
aws ec2 attach-volume --volume-id "$volume" --instance-id "$instance" --device /dev/sdf >/dev/null
aws ec2 wait volume-in-use --volume-ids "$volume"
disk=$root/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_${volume/-/}
for _ in $(seq 60); do
	if [ -e "$disk" ]; then break; fi
	sleep 2
done
# Only a disk without any file system is made anew. blkid answers 2 for that;
# every other failure must stop here, not format.
known=0
blkid -p "$disk" >/dev/null || known=$?
case $known in
0) ;;
2) mkfs.xfs -q "$disk" ;;
*) echo "cannot tell what is on $disk (blkid: $known); not touching it" >&2; exit 1 ;;
esac
echo "$disk /srv/gitlab xfs defaults,noatime,nofail 0 2" >>"$etc/fstab"
mount "$data"
xfs_growfs "$data" >/dev/null
install -d "$data/config" "$data/logs" "$data/data"

# Port 22 is for Git over SSH; the way to a shell is Session Manager.
systemctl disable --now sshd
dnf install -y -q docker jq

cat >"$etc/gitlab-host/omnibus.rb" <<'EOF'
[[.Omnibus]]
EOF
cat >"$root/usr/local/bin/gitlab-start" <<'EOF'
#!/bin/bash
# Reads the secrets into memory and becomes GitLab's container.
set -euo pipefail
export AWS_DEFAULT_REGION=[[.Region]]
secret() { aws secretsmanager get-secret-value --secret-id "$1" --query SecretString --output text; }
[[range .Secrets -]]
value=$(secret [[.ARN]])
[[range .Fields -]]
export [[.Variable]]; [[.Variable]]=$(jq -er [[quote .Path]] <<<"$value")
[[end -]]
[[end -]]
unset value
[[if .Login -]]
aws ecr get-login-password | docker login --username AWS --password-stdin [[.Login]]
[[end -]]
docker rm --force gitlab >/dev/null 2>&1 || true
GITLAB_OMNIBUS_CONFIG=$(cat [[.Root]]/etc/gitlab-host/omnibus.rb)
export GITLAB_OMNIBUS_CONFIG
exec docker run --rm --name gitlab --network host --shm-size 256m --stop-timeout 120 \
	--env GITLAB_OMNIBUS_CONFIG --env AWS_DEFAULT_REGION[[range .Secrets]][[range .Fields]] --env [[.Variable]][[end]][[end]] \
	--volume [[.Root]]/srv/gitlab/config:/etc/gitlab --volume [[.Root]]/srv/gitlab/logs:/var/log/gitlab --volume [[.Root]]/srv/gitlab/data:/var/opt/gitlab \
	[[.Image]]
EOF
chmod 0755 "$root/usr/local/bin/gitlab-start"
cat >"$etc/systemd/system/gitlab.service" <<'EOF'
[Unit]
Description=GitLab
Requires=docker.service
After=docker.service network-online.target
RequiresMountsFor=/srv/gitlab
[Service]
ExecStart=/usr/local/bin/gitlab-start
ExecStop=/usr/bin/docker stop --time 120 gitlab
Restart=always
RestartSec=15
TimeoutStartSec=infinity
TimeoutStopSec=150
[Install]
WantedBy=multi-user.target
EOF
systemctl daemon-reload
systemctl enable --now docker gitlab

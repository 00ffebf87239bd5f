#!/bin/bash
# Makes this host a NAT. Runs once, as root, at first boot, which may come
# before the host's address and its routes: so it tries until they are there.
set -euo pipefail
etc=[[.Root]]/etc
install -d "$etc/sysctl.d" "$etc/sysconfig"
until dnf install -y -q nftables; do sleep 5; done
echo net.ipv4.ip_forward=1 >"$etc/sysctl.d/nat.conf"
sysctl -q -p "$etc/sysctl.d/nat.conf"
cat >"$etc/sysconfig/nftables.conf" <<'EOF'
table ip nat {
	chain postrouting {
		type nat hook postrouting priority 100;
		ip saddr [[.CIDR]] masquerade
	}
}
EOF
systemctl enable --now nftables

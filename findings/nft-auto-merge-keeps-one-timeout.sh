#!/usr/bin/env bash
# nft: `auto-merge` joins neighbouring elements although their timeouts differ, and only one timeout survives.
#
# Versions:  nft 1.0.6 (Debian 12: nftables 1.0.6-2+deb12u2, libnftables1 of the same version, libnftnl11 1.2.4-2);
#            seen on Linux 6.18.
# Guess:     elements with different timeouts stay apart, or at least the longer life wins, since `timeout` is part of an
#            element and `auto-merge` is about addresses.
# Behaviour: elements that touch or overlap become one, whatever their timeouts.
#            - Added one after the other, the later timeout counts for the whole range. A permanent entry ends with a
#              neighbour that was added for a minute, and a temporary one becomes permanent in the same way.
#            - An element that lies within an earlier one is dropped without a word: its longer timeout is lost.
#            - Added in one command, the first timeout counts.
#            So a blocklist or a lease list with `flags interval,timeout; auto-merge` forgets entries early, or never.
# Needs:     root (it makes a network namespace, which ends with the script), Debian's package archive.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download --quiet=2 nftables=1.0.6-2+deb12u2 libnftables1=1.0.6-2+deb12u2 libnftnl11=1.2.4-2 >/dev/null
for package in *.deb; do dpkg -x "$package" root; done
export NFT="$folder/root/usr/sbin/nft"
LD_LIBRARY_PATH=$(dirname "$(find "$folder/root" -name 'libnftables.so.1')")
export LD_LIBRARY_PATH
"$NFT" --version

# Adds the elements of each argument with a command of its own; prints what the set holds then, without the time left.
cat >show.sh <<'SHOW'
"$NFT" 'flush set inet t s'
for elements in "$@"; do "$NFT" "add element inet t s { $elements }"; done
"$NFT" list set inet t s | sed -n 's/ expires [0-9a-z]*//; s/.*elements = //p'
SHOW
cat >cases.sh <<'CASES'
"$NFT" 'add table inet t; add set inet t s { type ipv4_addr; flags interval,timeout; auto-merge; }'
show() { bash show.sh "$@"; }
show '192.0.2.0/25' '192.0.2.128/25 timeout 1m'
show '192.0.2.128/25 timeout 1m' '192.0.2.0/25'
show '192.0.2.0/25 timeout 1h' '192.0.2.128/25 timeout 1m'
show '192.0.2.0/24 timeout 1m' '192.0.2.5 timeout 1h'
show '192.0.2.0/25 timeout 1h, 192.0.2.128/25 timeout 1m'
CASES

expected='{ 192.0.2.0/24 timeout 1m }
{ 192.0.2.0/24 }
{ 192.0.2.0/24 timeout 1m }
{ 192.0.2.0/24 timeout 1m }
{ 192.0.2.0/24 timeout 1h }'
seen=$(unshare --net bash cases.sh)
echo "$seen"
if [ "$seen" != "$expected" ]; then
	echo "changed; expected:"
	echo "$expected"
	exit 1
fi

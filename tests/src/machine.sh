# Becomes a systemd that has this folder ($1) for its root, this network namespace for its network, and everything else
# to itself. What comes in: a mount namespace of our own. The cgroup is named $2.
set -e
if [ -z "$3" ]; then
	# A cgroup namespace has the cgroup that its maker is in for a root.
	mkdir -p /run && mount -t tmpfs none /run && mkdir /run/cgroup
	mount -t cgroup2 none /run/cgroup
	mkdir "/run/cgroup/$2"
	echo $$ >"/run/cgroup/$2/cgroup.procs"
	umount /run/cgroup
	exec unshare --cgroup --pid --uts --ipc --fork --kill-child sh "$0" "$1" "$2" within
fi
cd "$1"
mount --rbind . .
cd "$1"
hostname gate
mount -t proc -o nosuid,nodev,noexec proc proc
# As containers have it: what is not this network namespace's belongs to the machine that the test runs on.
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs sys
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 sys/fs/cgroup
mount -t bpf -o nosuid,nodev,noexec,mode=700 bpf sys/fs/bpf
mount -t tmpfs -o nosuid,mode=755 tmpfs dev
for device in "null 3" "zero 5" "full 7" "random 8" "urandom 9"; do
	mknod -m 666 dev/${device% *} c 1 ${device#* }
done
mknod -m 666 dev/tty c 5 0
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o nosuid,nodev,mode=755 tmpfs run
mount -t tmpfs -o nosuid,nodev tmpfs tmp
mkdir -p run/before
pivot_root . run/before
cd /
umount -l /run/before
# Nothing that starts here may change the machine that the test runs on.
exec env -i container=letmein-test PATH=/usr/sbin:/usr/bin:/sbin:/bin setpriv \
	--bounding-set=-sys_module,-sys_time,-sys_rawio,-syslog,-audit_control,-audit_read,-audit_write,-wake_alarm \
	/lib/systemd/systemd --unit=multi-user.target

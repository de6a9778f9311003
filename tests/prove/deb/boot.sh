#!/usr/bin/env bash
# boot.sh ROOT: systemd as the first process of a tree, in namespaces of its own (mount, PID, network, IPC, host name, cgroups): a machine that has
# been installed a moment ago, as far as packages and services can tell. `unshare -m -p -f -n -i -u -C --kill-child boot.sh ROOT`.
set -euo pipefail
root=$1
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir -p "$root/dev/pts" "$root/dev/shm" "$root/old"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
mount -t tmpfs tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ip link set lo up
# A network, as every machine has one: clients are told an address that is not the loopback one.
ip link add lan0 type veth peer name lan1
ip address add 10.11.12.13/24 dev lan0
ip link set lan0 up
ip link set lan1 up
ip route add default via 10.11.12.1
cd "$root"
pivot_root . old
umount -l old
exec env -i container=proof PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --log-target=console --log-level=warning </dev/null

#!/bin/busybox sh
# The first process of a guest without systemd: cgroup v2 and nothing else, one job, power off.
export PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=linux
mount -t devtmpfs dev /dev
exec < /dev/console > /dev/console 2>&1
mkdir -p /dev/pts /dev/shm /dev/mqueue
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devpts -o gid=5,mode=620,ptmxmode=666 pts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t mqueue mqueue /dev/mqueue
mount -t tmpfs -o mode=755 run /run
mount -t cgroup2 -o nsdelegate cgroup /sys/fs/cgroup
ip link set lo up
hostname pinnace
/pinnace/report /pinnace/job

#!/bin/busybox sh
# The kernel's first program. Its root is none that can be pivoted away from (containers do that), so it is bound
# to itself and the bind becomes the root; then the guest's own first program goes on.
/bin/busybox --install -s 2> /dev/null
mount -t proc proc /proc
for module in /pinnace/modules/*.ko; do insmod "$module"; done
umount /proc
mount --bind / /mnt
cd /mnt
mount --move . /
exec chroot . /sbin/init < /dev/console > /dev/console 2>&1

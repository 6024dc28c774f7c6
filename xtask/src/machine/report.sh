#!/bin/sh
# Runs a job on the console, tells the host on the second serial port how it ended, and powers off.
# What it makes lies on a disk, if only one in memory: files of a tmpfs have no owners to map before Linux 6.3.
stty -F /dev/console -opost
truncate -s 4G /disk && mkfs.ext4 -q /disk && mount -o loop /disk /tmp && chmod 1777 /tmp || echo "no disk at /tmp"
"$@" < /dev/console > /dev/console 2>&1
echo "exit $?" > /dev/ttyS1
/bin/busybox poweroff -f

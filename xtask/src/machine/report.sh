#!/bin/sh
# Runs a job on the console, tells the host on the second serial port how it ended, and powers off.
stty -F /dev/console -opost
"$@" < /dev/console > /dev/console 2>&1
echo "exit $?" > /dev/ttyS1
/bin/busybox poweroff -f

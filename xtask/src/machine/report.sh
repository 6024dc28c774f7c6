#!/bin/sh
# Runs a job on the console and tells the host, on the second serial port, how it ended.
stty -F /dev/console -opost
"$@" < /dev/console > /dev/console 2>&1
echo "exit $?" > /dev/ttyS1

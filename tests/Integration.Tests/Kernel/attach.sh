# nbd-client, as an administrator uses it: one server, which dies and comes back; then the device is attached anew. /share: shared with the host.
set -eu
modprobe nbd nbds_max=4 max_part=0 || :
attach() { nbd-client -b 4096 "$HOST" "${PORTS%% *}" /dev/nbd0 -N "$EXPORT"; }
attach
dd if=/dev/urandom of=/tmp/block bs=4096 count=1 2>/dev/null
dd if=/tmp/block of=/dev/nbd0 bs=4096 oflag=direct conv=fsync 2>/dev/null
: >/share/ready
until [ -e /share/back ]; do sleep 0.2; done
nbd-client -d /dev/nbd0
attach
dd if=/dev/nbd0 of=/tmp/read bs=4096 count=1 iflag=direct 2>/dev/null
cmp /tmp/block /tmp/read
dd if=/tmp/block of=/dev/nbd0 bs=4096 seek=1 oflag=direct conv=fsync 2>/dev/null
nbd-client -d /dev/nbd0
echo OK

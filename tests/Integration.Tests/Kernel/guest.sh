# Run by every guest: mounts one volume through all nodes and works on it until the host says stop, then checks what everybody was told
# is durable, unmounts, and has one guest check the file system. FS: gfs2 or ocfs2, for several guests, or ext4 or xfs, for one.
# /share: shared with the host.
set -eu
dev=$(nbd_attach)
case $FS in ocfs2) O2CB_DEAD=61 ocfs2_up;; gfs2) dlm_up; modprobe gfs2;; xfs) modprobe xfs 2>/dev/null || :;; esac
if [ $NODE = 1 ]; then
  case $FS in
    ocfs2) mkfs.ocfs2 -q -F -N 4 -b 4096 -C 4096 -J size=16M --cluster-stack=o2cb --cluster-name=mirror $dev;;
    gfs2) mkfs.gfs2 -O -q -p lock_dlm -t mirror:vol -j $NODES -J 16 $dev;;
    ext4) mkfs.ext4 -q -F $dev;;
    xfs) mkfs.xfs -q -f $dev;;
  esac
  sync
fi
barrier mkfs; blockdev --flushbufs $dev
mount -t $FS -o noatime $dev /mnt
mkdir -p /mnt/n$NODE; : >>/mnt/log; : >>/mnt/lock
barrier mounted 300
python3 /share/guest.py work
barrier worked 300
python3 /share/guest.py check
barrier checked 300
umount /mnt; barrier unmounted 300
if [ $NODE = 1 ]; then
  case $FS in
    ocfs2) fsck.ocfs2 -fn $dev 2>&1;;
    gfs2) fsck.gfs2 -n $dev 2>&1;;
    ext4) e2fsck -fn $dev 2>&1;;
    xfs) xfs_repair -n $dev 2>&1;;
  esac | tail -3
  [ ${PIPESTATUS[0]} = 0 ] || { echo "fsck found something"; exit 1; }
fi
barrier end 300; echo OK

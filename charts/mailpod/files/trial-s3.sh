# SeaweedFS in one process, its ports but S3's on loopback. Ready only when each PUT is fsynced: until then nothing is
# acknowledged that a crash could take.
set -eu
# A new pod may start while the one before it still ends: on a folder in use weed would hang, and never be ready
exec 9>/data/.lock
flock 9
weed server -dir=/data -ip=127.0.0.1 -ip.bind=127.0.0.1 -master.telemetry=false -master.volumeSizeLimitMB=1024 \
    -volume.max=0 -volume.preStopSeconds=0 -filer -filer.localSocket=/tmp/filer.sock \
    -s3 -s3.ip.bind="${S3_BIND:-0.0.0.0}" -s3.port=8333 -s3.port.iceberg=0 -s3.port.lance=0 -s3.iam=false \
    -s3.config=/etc/weed/s3.json -s3.localSocket=/tmp/s3.sock &
server=$!
trap 'kill -TERM "$server"; wait "$server"; exit' TERM INT
shell() { echo "$1" | weed shell -master=127.0.0.1:9333 2>/dev/null; }
rm -f /tmp/ready
until shell "fs.configure" | grep -q '"fsync": *true'; do
    kill -0 "$server"
    shell "fs.configure -locationPrefix=/buckets/ -fsync=true -apply" >/dev/null || sleep 1
done
: >/tmp/ready
wait "$server"

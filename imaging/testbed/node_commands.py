"""The commands in the ramdisk of a virtual node, and the servers that fail: shell scripts.

In the ramdisk, /dev/sda is the node's disk and /proc/uptime the node's own; these few commands see
to it, so that whoever is at the console cannot tell a virtual node from a real one. A command of a
node that has faults is left to ``imaging.testbed.faulty``; the others do not even start a Python
for it.
"""

import shlex
import stat
import sys
from pathlib import Path

from imaging.testbed.faults import SERVERS

DISK_DEVICE = "/dev/sda"

_FAULTY = """\
if grep -qs '"@NODE@"' "$NODE_FAULTS"; then
    exec @PYTHON@ -m imaging.testbed.faulty @COMMAND@ "$@"
fi
"""
_CAT = """\
#!/bin/sh
# the node's own uptime, in hundredths of a second since its power came
case "$*" in
/proc/uptime) ;;
/sys/class/block/@DISK_NAME@/size) echo $(( $(blockdev --getsize64 @DISK@) / 512 )); exit ;;
*) exec /bin/cat "$@" ;;
esac
read -r host rest < /proc/uptime
read -r boot rest < "$NODE_DIRECTORY/powered"
up=$(( ${host%.*}${host#*.} - ${boot%.*}${boot#*.} ))
printf '%d.%02d %d.00\\n' $((up / 100)) $((up % 100)) $((up / 100))
"""
_BLOCKDEV = f"""\
#!/bin/sh
{_FAULTY}\
if [ "$1 $2" = "--getsize64 @DISK@" ] && [ -f "$NODE_DIRECTORY/disk.img" ]; then
    exec stat -c %s "$NODE_DIRECTORY/disk.img"
fi
echo "blockdev: cannot open $2: No such file or directory" >&2
exit 1
"""
_NETCAT = """\
#!/bin/sh
exec @PYTHON@ -m imaging.testbed.netcat "$@"
"""
_ON_DISK = f"""\
#!/bin/sh
{_FAULTY}\
# the last argument @DISK@ is the node's disk, which has a size that never changes
options=
for word do
    shift
    if [ "$word" = @DISK@ ]; then
        word=$NODE_DIRECTORY/disk.img
        options=@AS_DISK@
    fi
    set -- "$@" "$word"
done
exec @TOOL@ $options "$@"
"""
_SERVER = """\
#!/bin/sh
exec @PYTHON@ -m imaging.testbed.bad_server @COMMAND@ "$@"
"""


def write_commands(directory: Path, node: str) -> None:
    """Write the commands of one node's ramdisk."""
    on_disk = _ON_DISK.replace("@AS_DISK@", "--disk")
    scripts = {
        "cat": _CAT,
        "blockdev": _BLOCKDEV,
        "nc": _NETCAT,
        "frisbee": on_disk,
        "imageunzip": on_disk,
        # it only reads, and knows no such option
        "imagezip": _ON_DISK.replace("@AS_DISK@", ""),
    }
    for command, script in scripts.items():
        _write(directory / command, script.replace("@NODE@", node))


def write_servers(directory: Path) -> None:
    """Write the frisbee servers that fail."""
    for name in SERVERS:
        _write(directory / name, _SERVER)


def _write(path: Path, script: str) -> None:
    for word, text in {
        "@PYTHON@": shlex.quote(sys.executable),
        "@COMMAND@": path.name,
        "@TOOL@": f"imaging-{path.name}",
        "@DISK@": DISK_DEVICE,
        "@DISK_NAME@": Path(DISK_DEVICE).name,
    }.items():
        script = script.replace(word, text)
    path.write_text(script)
    path.chmod(stat.S_IRWXU | stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH)

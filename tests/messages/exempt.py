"""Places that no test provokes a message from; each with its reason."""

BUG = "only a mistake in the code itself raises it, and nobody is told these words"
ROOT = "root may do everything: the tests of it are skipped for root, and cannot be named here"
RACE = "it needs the file system to fail in the moment between two calls"
DEVICE = "it needs a block device: see tests/test_frisbee_imagezip_disks.py"
DISK = "it needs a failing disk"
LATE = "it needs a lease, a card or a signal to fail in one moment of a run"
STATE = "the monitor shows it as the state of its sidecar: see tests/test_monitor_sidecar.py"
NETWORK = "it needs a network that goes away: see tests/test_frisbee_sockets.py"
OTHERS = "it would take the networks and ports of other tests"

# file, function, and how the text begins
EXEMPT = {
    ("cli/leases.py", "_change", "{}: {}"): "it needs a terminal; the error itself has its test",
    ("cli/monitor.py", "look_once", "{}: {}, before all"): LATE,
    ("cli/nextboot.py", "_authorize", "{}: {}"): "it tells what operations/authorization.py says",
    ("cli/nextboot.py", "_tell", "{}: {}"): "the error itself has its test",
    ("cli/testbed.py", "_stop", "the testbed of {} had to be killed"): "it needs one that hangs",
    ("feedback/display/live.py", "LiveDisplay.shown", "{}"): "it repeats what was told before",
    ("feedback/board.py", "Board.report", "no outcome for"): BUG,
    ("feedback/scripts/files.py", "check_place", "cannot write {}: no permission"): ROOT,
    ("frisbee/commands/imagezip.py", "_size", "{}: {}"): DEVICE,
    ("frisbee/commands/imagezip.py", "_sync", "chunk write: {}"): DISK,
    ("frisbee/compress.py", "_ImageWriter._write_totals", "chunk write: {}"): DISK,
    ("frisbee/disk.py", "flush", "fsync: {}"): DISK,
    ("frisbee/disklayout/devices.py", "partition_device", "has no device in /dev"): DEVICE,
    ("frisbee/disklayout/devices.py", "_check_unused", "is in use"): DEVICE,
    ("frisbee/disklayout/ext.py", "_descriptor_block", "is {} with descriptors"): (
        "the property tests meet it"
    ),
    ("frisbee/image.py", "_inspect", "the image ends within"): RACE,
    ("frisbee/image_packets.py", "ImagePackets._read", "Reading File"): DISK,
    ("frisbee/sockets.py", "SessionSocket._bind", "setsockopt"): NETWORK,
    ("frisbee/sockets.py", "SessionSocket.send", "PacketSend"): NETWORK,
    ("frisbee/sockets.py", "SessionSocket.send_blocks", "PacketSend"): NETWORK,
    ("frisbee/sockets.py", "_network_error", "{} : {}"): NETWORK,
    ("frisbee/source.py", "SourceDisk.check_sectors", "{} has sectors of"): DEVICE,
    ("frisbee/source.py", "SourceDisk.look_into.read", "is of a layout"): (
        "the property tests meet it"
    ),
    ("images/catalogue.py", "_partial", "a partial image"): ROOT,
    ("images/curation.py", "_plan_leftover", "{}: {}"): ROOT,
    ("images/provenance.py", "inspect_whole", "{}: {}"): RACE,
    ("images/sharing.py", "SharePlan._copy", "{} does not hold"): DISK,
    ("images/sharing.py", "SharePlan._copy", "cannot read"): RACE,
    ("images/sharing.py", "plan_share", "{}: {}"): RACE,
    ("leases/r2labapi.py", "R2labLeases._log_in", "{}"): "as what else makes no sense",
    ("leases/r2labapi_rows.py", "read_resource", "it is about"): "as what else makes no sense",
    ("leases/r2labapi_rows.py", "_seconds", "it holds a time"): "as what else makes no sense",
    ("monitor/probes.py", "Login.prove", "{}"): "as in node/remote.py",
    ("monitor/probes.py", "Shell.prove", "{}"): "as in node/remote.py",
    ("monitor/sidecar.py", "SidecarFace._attempt", "the connection has ended"): STATE,
    ("monitor/sidecar.py", "SidecarFace._attempt", "it does not answer"): STATE,
    ("monitor/web/server.py", "BoundedStream.send_all", "the client reads"): "nobody is told",
    ("node/console.py", "_at_once", "there was something"): BUG,
    ("node/power/plain_http.py", "_converse", "it ended the connection in"): (
        "most often it is told as no HTTP"
    ),
    ("node/connection.py", "connect", "connected to itself"): "told as a refused connection",
    ("node/markers.py", "MarkedCommand.__init__", "a typed command"): BUG,
    ("node/nextboot.py", "NextbootDirectory.check_directory", "no permission to make"): ROOT,
    ("operations/load.py", "_NodeLoad._care_for_disk", "its disk is half-written, and"): LATE,
    ("operations/save.py", "_NodeSave._back_in_haste", "it was left in the ramdisk"): LATE,
    ("operations/preflight.py", "new_image", "no permission to make images"): ROOT,
    ("operations/preflight.py", "plan_save", "{}: {}"): RACE,
    ("operations/site_check.py", "_check_directory", "no permission to"): ROOT,
    ("operations/site_check.py", "_check_history", "no permission to write"): ROOT,
    ("operations/site_check.py", "_check_log", "no permission to write"): ROOT,
    ("operations/site_check.py", "_check_leases_file", "no permission to read"): ROOT,
    ("operations/site_check.py", "_check_readable", "no permission to read"): ROOT,
    ("ramdisk/build.py", "_programs", "no package has"): "it needs packages of a later Debian",
    ("ramdisk/data_plane.py", "fetch_wheel", "pip has left no"): "it needs a pip that does nothing",
    ("ramdisk/placing.py", "check_place", "{}: no permission to write"): ROOT,
    ("ramdisk/serving.py", "_read_config", "{}: {}"): ROOT,
    ("ramdisk/tree.py", "merged", "{} is no path"): "it is told as a package that cannot be read",
    ("site/selection.py", "_Reader._range", "{}: the ends of a range"): BUG,
    ("testbed/service.py", "own_network", "no free network"): OTHERS,
    ("testbed/service.py", "run_testbed", "cannot open the ports"): OTHERS,
}


def is_exempt(file: str, function: str, text: str) -> bool:
    """Whether a place needs no test."""
    return any((file, function) == key[:2] and text.startswith(key[2]) for key in EXEMPT)

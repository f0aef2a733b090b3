"""What client and server say of a transfer when it is over, in the C tools' lines."""

from imaging.frisbee.packets import ClientStatistics


def client_lines(client_id: int, statistics: ClientStatistics) -> list[str]:
    """The statistics of one client."""
    seconds = statistics.runtime_ms / 1000
    inflating = f"{statistics.no_chunk_ready}/{statistics.decompressor_blocked}"
    return [
        f"Client {client_id} Performance:",
        f"  runtime:                {seconds:.3f} sec",
        f"  start delay:            {statistics.start_delay_ms / 1000:.3f} sec",
        f"  real data written:      {_rate(statistics.real_bytes, seconds)}",
        f"  effective data written: {_rate(statistics.effective_bytes, seconds)}",
        f"Client {client_id} Params:",
        "  chunk/block size:     1024/1024",
        f"  chunk buffers:        {statistics.chunk_buffers}",
        f"  disk buffering:       {statistics.write_buffer_mb}MB",
        f"  readahead/inprogress: {statistics.read_ahead}/{statistics.in_progress}",
        f"  recv timo/count:      {statistics.receive_timeout_us}/{statistics.idle_count}",
        f"  re-request delay:     {statistics.redo_delay_us}",
        f"  writer idle delay:    {statistics.writer_idle_us}",
        f"  randomize requests:   {statistics.randomize}",
        f"Client {client_id} Stats:",
        f"  net thread idle/blocked:        {statistics.receive_idles}/{statistics.no_buffer}",
        f"  decompress thread idle/blocked: {inflating}",
        f"  disk thread idle:        {statistics.writer_idles}",
        f"  join/request msgs:       {statistics.joins}/{statistics.requests}",
        f"  dupblocks(chunk done):   {statistics.duplicates_done}",
        f"  dupblocks(in progress):  {statistics.duplicates_in_progress}",
        f"  partial requests/blocks: {statistics.partial_requests}/{statistics.lost_blocks}",
        f"  re-requests:             {statistics.re_requests}",
    ]


def _rate(count: int, seconds: float) -> str:
    return f"{count} ({int(count / seconds) if seconds > 0 else 0} Bps)"

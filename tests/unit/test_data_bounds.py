"""Memory is counted before it is taken."""

import resource

import pytest

from genwerk.core import memory


def test_what_is_too_large_is_one_sentence(monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda: 4 * 10**9)
    memory.afford(2 * 10**9, "a.npz", "take fewer")
    with pytest.raises(
        ValueError, match=r"^a.npz takes 5.0 GB of memory once decoded, and 4.0 GB are free.*take fewer$"
    ):
        memory.afford(5 * 10**9, "a.npz", "take fewer")


def test_a_limit_of_the_process_counts(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (6_000_000, 6_000_000))
    monkeypatch.setattr(memory, "_text", lambda path: "1000 7 7" if path.name == "statm" else "")
    assert memory.free_memory() == 6_000_000 - 1000 * resource.getpagesize()


@pytest.mark.parametrize("version", [1, 2])
def test_limits_of_control_groups_count_without_the_pages_of_files(tmp_path, monkeypatch, version):
    controllers, limit, usage = (
        ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes")
        if version == 1
        else ("", "memory.max", "memory.current")
    )
    files = {
        "/proc/meminfo": "MemAvailable:  8000000 kB\n",
        "/proc/self/cgroup": f"9:cpu:/x\n4:{controllers}:/job/step\n",
        f"/sys/fs/cgroup/{controllers}/job/{limit}".replace("//", "/"): "3000000\n",
        f"/sys/fs/cgroup/{controllers}/job/{usage}".replace("//", "/"): "2500000\n",
        f"/sys/fs/cgroup/{controllers}/job/memory.stat".replace(
            "//", "/"
        ): "inactive_file 300000\nactive_file 100000\nanon 5\n",
    }
    monkeypatch.setattr(memory, "_text", lambda path: files.get(str(path), ""))
    assert memory.free_memory() == 900_000
    files["/proc/self/cgroup"] = ""
    assert memory.free_memory() == 8_000_000 * 1024

#!/usr/bin/env python3
"""A host for minutes under everything at once, looked at from outside: memory, descriptors, threads and data file.

300 instances that are asked every half second, upgrades there and back, swaps of a plugin, readers and followers. Ends
with 1 when one of the four figures rises from the second third to the last one by more than its measure allows.

With --hostile: 5,000 instances in as many scale sets as there are ways to misbehave, beside good ones, without
upgrades and swaps. Ends with 1 also when a good instance is not Healthy at the end.

    tests/soak.py [--hostile] [--minutes 5] [--binary target/release/phasegate]
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
INSTANCES = 300
# A name that a component may carry without meaning anything by it: another digest, the same code.
SECTION = b"\x00\x05\x04soak"


async def instance(reader, writer):
    """Answers one probe."""
    try:
        while (await reader.readline()).strip():
            pass
        body = b'{"ApplicationHealthState":"Healthy"}'
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
                     b"Content-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


GOOD = (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 36\r\n\r\n"
        b'{"ApplicationHealthState":"Healthy"}')


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


# What a server says at once, what it says then, how often, and how long it waits before each of those.
FOR_EVER = 1 << 40
MANNERS = {
    "good": ("http", GOOD, b"", 0, 0),
    "slow": ("http", b"", GOOD, 1, 0.8),
    "silent": ("http", b"", b"", FOR_EVER, 3600),
    "cut": ("http", GOOD[:-9], b"", 0, 0),
    "garbage": ("http", b"\x00\xffno HTTP at all\r\n\r\n", b"", 0, 0),
    "drips": ("http", GOOD[:40], b"X", FOR_EVER, 0.2),
    "interim": ("http", b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 50, FOR_EVER, 0),
    "headers": ("http", b"HTTP/1.1 200 OK\r\n", b"X-A: " + b"a" * 4000 + b"\r\n", FOR_EVER, 0),
    "chunks": ("http", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1;x=" + b"a" * 500 + b"\r\na\r\n",
               FOR_EVER, 0),
    "body": ("http", b"HTTP/1.1 200 OK\r\n\r\n", b"a" * 4096, FOR_EVER, 0),
    "settings": ("h2c", frame(4, 0, 0), frame(4, 0, 0) * 50, FOR_EVER, 0),
    "pings": ("h2c", frame(4, 0, 0), frame(6, 0, 0, b"12345678") * 50, FOR_EVER, 0),
    "continuations": ("h2c", frame(4, 0, 0) + frame(1, 0, 1, b"\x88"), frame(9, 0, 1, b"\x40\x01a\x01b") * 50, FOR_EVER, 0),
    "resets": ("h2c", frame(4, 0, 0) + frame(3, 0, 1, b"\x00\x00\x00\x07"), b"", 0, 0),
    "windows": ("grpc", frame(4, 0, 0, b"\x00\x04\x00\x00\x00\x00"), b"", FOR_EVER, 3600),
    "no-tls": ("https", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", 0, 0),
}


def hostile(manner):
    """A server of this manner."""
    _, first, then, times, pause = MANNERS[manner]

    async def answer(reader, writer):
        try:
            await reader.read(4096)
            writer.write(first)
            for _ in range(times):
                await asyncio.sleep(pause)
                writer.write(then)
                await writer.drain()
                if writer.is_closing() or reader.at_eof():
                    break
            await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    return answer


def serve(manners, pipe):
    """Servers in a process of their own, which ends with the one that began it."""

    async def serving():
        servers = [await asyncio.start_server(hostile(manner), "127.0.0.1", 0, backlog=4096) for manner in manners]
        pipe.send([server.sockets[0].getsockname()[1] for server in servers])
        await asyncio.Event().wait()

    # Clients that hang up are what they are here for.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    asyncio.run(serving())


def start_servers():
    """Where each manner is met, and the processes. Those that are good have one that nobody keeps busy."""
    polite = [manner for manner in MANNERS if manner in ("good", "slow")]
    ports, processes = {}, []
    for manners in (polite, [manner for manner in MANNERS if manner not in polite]):
        here, there = multiprocessing.Pipe()
        process = multiprocessing.Process(target=serve, args=(manners, there), daemon=True)
        process.start()
        processes.append(process)
        ports.update(zip(manners, here.recv()))
    return ports, processes


def hostile_configuration(folder, api, ports, instances):
    text = [f'[server]\nlisten = "127.0.0.1:{api}"\ndataDir = "data"\n[recording]\nmaxMiB = 16\n']
    for manner, port in ports.items():
        text.append(
            f'[[scaleSets]]\nname = "{manner}"\nmodel = {{ version = "v1" }}\n'
            'driver = { kind = "command", command = ["true"] }\n'
            f'[scaleSets.health]\nprotocol = "{MANNERS[manner][0]}"\nport = {port}\nintervalInSeconds = 5\n'
            "timeoutInSeconds = 3\n")
        text += [f'[[scaleSets.instances]]\nid = "{number}"\naddress = "127.0.0.1:{1 + number}"\n'
                 for number in range(instances)]
    (folder / "phasegate.toml").write_text("".join(text))


def measured(api, name):
    """The sum of one of the host's metrics, by its labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{api}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name)}


async def soak_hostile(arguments):
    phasegate = str(pathlib.Path(arguments.binary).resolve())
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        os.chdir(folder)
        ports, processes = start_servers()
        each = arguments.instances // len(MANNERS)
        hostile_configuration(folder, 19_299, ports, each)
        log = open("log", "w")
        host = await asyncio.create_subprocess_exec(phasegate, "run", stdout=log, stderr=log)
        samples, good = [], True
        try:
            ends = time.monotonic() + 120
            while (await run(phasegate, "fleet"))[0] != 0:
                if time.monotonic() > ends or host.returncode is not None:
                    raise SystemExit("the host did not begin:\n" + pathlib.Path("log").read_text())
                await asyncio.sleep(0.5)
            # What is new is not flat: three intervals.
            await asyncio.sleep(15)
            ends = time.monotonic() + arguments.minutes * 60
            while time.monotonic() < ends:
                await asyncio.sleep(min(5, arguments.minutes * 60 / 12))
                samples.append(figures(host.pid, folder / "data"))
                print("  ".join(f"{key} {value}" for key, value in samples[-1].items()), flush=True)
            seen = await asyncio.to_thread(measured, 19_299, "phasegate_")
            late = {key.split('le="')[1].rstrip('"}'): count for key, count in seen.items()
                    if key.startswith("phasegate_probe_lateness_seconds_bucket")}
            print("late by at most (seconds): probes", json.dumps(late))
            for manner in ("good", "slow"):
                healthy = seen.get(f'phasegate_instances{{scale_set="{manner}",health="Healthy"}}', 0)
                print(f"{manner}: {healthy:.0f} of {each} Healthy")
                good = good and healthy == each
        finally:
            if host.returncode is None:
                host.terminate()
                await asyncio.wait_for(host.wait(), 60)
            for process in processes:
                process.terminate()
        said = pathlib.Path("log").read_text()
        good = good and "panicked" not in said and host.returncode == 0
        for name, (before, after, is_flat) in flat(samples).items():
            print(f"{name}: {before:.0f} in the second third, {after:.0f} in the last: {'flat' if is_flat else 'RISES'}")
            good = good and is_flat
        if not good:
            print(said[-4000:], file=sys.stderr)
        return 0 if good else 1


async def request(port, method, path):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


async def read_on(port, counts, stop):
    """A reader that asks for everything in turn."""
    paths = ["/v1/fleet", "/v1/scale-sets/soak/log?limit=200", "/metrics", "/v1/upgrades", "/healthz"]
    while not stop.is_set():
        for path in paths:
            try:
                status, _ = await request(port, "GET", path)
                counts["reads"] += status == 200
                counts["refused"] += status != 200
            except (OSError, IndexError, ValueError):
                counts["broken"] += 1
        await asyncio.sleep(0.2)


async def follow(port, counts, stop):
    """A follower that leaves and comes back."""
    while not stop.is_set():
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"GET /v1/events HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
            until = time.monotonic() + 7
            while time.monotonic() < until and not stop.is_set():
                line = await asyncio.wait_for(reader.readline(), 20)
                if not line:
                    break
                counts["events"] += 1
            writer.close()
        except (OSError, asyncio.TimeoutError):
            counts["broken"] += 1


async def run(phasegate, *arguments):
    process = await asyncio.create_subprocess_exec(
        phasegate, *arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, said = await process.communicate()
    return process.returncode, said.decode(errors="replace")


async def upgrade(phasegate, counts, stop):
    number = 1
    while not stop.is_set():
        number = 3 - number
        code, _ = await run(phasegate, "upgrade", "start", "soak", "--to", f"v{number}", "--wait", "--force")
        counts["upgrades"] += code == 0
        counts["upgrades that failed"] += code != 0


async def swap(phasegate, components, counts, stop):
    while not stop.is_set():
        for component in components:
            code, said = await run(phasegate, "plugin", "swap", "judge", component, "--force")
            counts["swaps"] += code == 0
            if code:
                counts["swaps that failed"] += 1
                print(f"swap: {said.strip()}", file=sys.stderr)
            await asyncio.sleep(3)


def figures(pid, data):
    status = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status") if ":" in line)
    size = sum(part.stat().st_size for part in data.glob("phasegate.db*") if part.exists())
    return {
        "memory KiB": int(status["VmRSS"].split()[0]),
        "descriptors": len(os.listdir(f"/proc/{pid}/fd")),
        "threads": int(status["Threads"]),
        "data file KiB": size // 1024,
    }


def flat(samples):
    """The mean of the second third, of the last one, and whether it has not risen."""
    third = len(samples) // 3
    verdict = {}
    for name, (share, more) in {
        "memory KiB": (0.10, 8 * 1024), "descriptors": (0.10, 12), "threads": (0.10, 4), "data file KiB": (0.15, 4096),
    }.items():
        mean = lambda part: sum(sample[name] for sample in part) / max(len(part), 1)
        before, after = mean(samples[third:2 * third]), mean(samples[2 * third:])
        verdict[name] = (before, after, after <= before * (1 + share) + more)
    return verdict


def configuration(folder, api, first):
    text = [
        f'[server]\nlisten = "127.0.0.1:{api}"\ndataDir = "data"\n',
        "[retention]\nauditLines = 5000\nupgrades = 5\nmembers = 3\n",
        '[recording]\nmaxMiB = 4\n',
        '[[plugins]]\nname = "judge"\ncomponent = "a.wasm"\nlimits = { timeoutMs = 2000 }\n',
        '[[scaleSets]]\nname = "soak"\nplugin = "judge"\nmodel = { version = "v1" }\n',
        'driver = { kind = "command", command = ["true"] }\n',
        "[scaleSets.health]\nintervalInSeconds = 0.5\n",
        "[scaleSets.upgradePolicy.rollingUpgradePolicy]\nmaxBatchInstancePercent = 20\n"
        'pauseTimeBetweenBatches = "PT0S"\n',
    ]
    text += [
        f'[[scaleSets.instances]]\nid = "{number}"\naddress = "127.0.0.1:{first + number}"\n'
        for number in range(INSTANCES)
    ]
    (folder / "phasegate.toml").write_text("".join(text))


async def main(arguments):
    phasegate = str(pathlib.Path(arguments.binary).resolve())
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        os.chdir(folder)
        component = ROOT / "plugins/azure-health/azure-health.wasm"
        shutil.copy(component, "a.wasm")
        pathlib.Path("b.wasm").write_bytes(component.read_bytes() + SECTION)
        api, first = 19_300, 19_301
        configuration(folder, api, first)
        servers = [await asyncio.start_server(instance, "127.0.0.1", first + number) for number in range(INSTANCES)]
        log = open("log", "w")
        host = await asyncio.create_subprocess_exec(phasegate, "run", stdout=log, stderr=log)
        counts = dict.fromkeys(
            ["reads", "refused", "broken", "events", "upgrades", "upgrades that failed", "swaps", "swaps that failed"], 0)
        stop = asyncio.Event()
        try:
            until = time.monotonic() + 120
            while (await run(phasegate, "fleet"))[0] != 0:
                if time.monotonic() > until or host.returncode is not None:
                    raise SystemExit("the host did not begin:\n" + pathlib.Path("log").read_text())
                await asyncio.sleep(0.5)
            tasks = [asyncio.create_task(read_on(api, counts, stop)) for _ in range(4)]
            tasks += [asyncio.create_task(follow(api, counts, stop)) for _ in range(20)]
            tasks += [asyncio.create_task(upgrade(phasegate, counts, stop)),
                      asyncio.create_task(swap(phasegate, ["b.wasm", "a.wasm"], counts, stop))]
            samples, ends = [], time.monotonic() + arguments.minutes * 60
            while time.monotonic() < ends:
                await asyncio.sleep(min(5, arguments.minutes * 60 / 12))
                samples.append(figures(host.pid, folder / "data"))
                print("  ".join(f"{key} {value}" for key, value in samples[-1].items()), flush=True)
            stop.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            if host.returncode is None:
                host.terminate()
                await asyncio.wait_for(host.wait(), 60)
            for server in servers:
                server.close()
        said = pathlib.Path("log").read_text()
        print(json.dumps(counts))
        good = "panicked" not in said and host.returncode == 0 and counts["upgrades"] > 0 and counts["swaps"] > 0
        for name, (before, after, is_flat) in flat(samples).items():
            print(f"{name}: {before:.0f} in the second third, {after:.0f} in the last: {'flat' if is_flat else 'RISES'}")
            good = good and is_flat
        if not good:
            print(said[-4000:], file=sys.stderr)
        return 0 if good else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--hostile", action="store_true")
    parser.add_argument("--instances", type=int, default=5_000)
    parser.add_argument("--binary", default=str(ROOT / "target/release/phasegate"))
    chosen = parser.parse_args()
    sys.exit(asyncio.run(soak_hostile(chosen) if chosen.hostile else main(chosen)))

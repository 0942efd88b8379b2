"""work: overwrites files of this guest's own and appends to a log that all share, each made durable before it counts as
acknowledged, until /share/stop is there. check: every acknowledged version and line of all guests is there, and no other."""
import fcntl, hashlib, json, os, random, sys, time

node, nodes = int(os.environ["NODE"]), int(os.environ["NODES"])


def content(owner, file, version):
    seed = hashlib.sha256(f"{owner} {file} {version}".encode()).digest()
    return seed * (16 * (1 + seed[0] % 64))


def work():
    acked, lines, version, longest, draw = {}, 0, 0, 0.0, random.Random(node)
    open(f"/share/ready.{node}", "w").close()
    while not os.path.exists("/share/stop"):
        version += 1
        file, begun = draw.randrange(40), time.time()
        with open(f"/mnt/n{node}/f{file}", "wb") as f:
            f.write(content(node, file, version))
            f.flush()
            os.fsync(f.fileno())
        acked[file] = version
        if version % 4 == 0:
            # Opened under the lock: what was opened before may append at a size of long ago, on OCFS2 also without any fault below it.
            with open("/mnt/lock", "ab") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                with open("/mnt/log", "ab") as f:
                    f.write(f"node{node} {lines + 1}\n".encode())
                    f.flush()
                    os.fsync(f.fileno())
            lines += 1
        longest = max(longest, time.time() - begun)
    with open(f"/share/acked.{node}", "w") as f:
        json.dump({"files": acked, "lines": lines}, f)
    print(f"guest {node}: {version} files and {lines} lines acknowledged, the longest took {longest:.1f} s", flush=True)


def check():
    wrong = []
    with open("/mnt/log") as f:
        log = f.read().split("\n")
    for owner in range(1, nodes + 1):
        acked = json.load(open(f"/share/acked.{owner}"))
        for file, version in acked["files"].items():
            with open(f"/mnt/n{owner}/f{file}", "rb") as f:
                if f.read() != content(owner, int(file), version):
                    wrong.append(f"file {file} of guest {owner} is not version {version}")
        if [line for line in log if line.startswith(f"node{owner} ")] != [f"node{owner} {i + 1}" for i in range(acked["lines"])]:
            wrong.append(f"the log has not the {acked['lines']} lines of guest {owner} in order")
    for text in wrong:
        print("LOST:", text, flush=True)
    sys.exit(1 if wrong else 0)


work() if sys.argv[1] == "work" else check()

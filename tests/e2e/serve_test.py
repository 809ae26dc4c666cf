#!/usr/bin/env python3
"""octet serve as users meet it: real mpirun, real processes, real clients."""
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path

from octet_process import OCTET, ArtefactTest, Server, processes, run, wait_until

LONG = ("complete", "Once upon a time", "--max-tokens", 400, "--ignore-eos")


class Serve(ArtefactTest):
    def test_the_served_answer_is_the_offline_answer_at_any_rank_count(self):
        prompt, flags = "One day, a little", ("--max-tokens", 40, "--temperature", 0)
        offline = run("generate", self.artefact, prompt, *flags).stdout
        for ranks in (1, 2, 3):
            with Server(self.artefact, ranks) as server:
                served = run("complete", prompt, *flags, "--server", server.address, "--stats")
                self.assertEqual(served.stdout, offline)
                self.assertIn("tokens/s", served.stderr)

    def test_sixteen_streams_at_once_get_what_each_gets_alone(self):
        with Server(self.artefact, 2) as server:
            calls = [("complete", "The little dog", "--max-tokens", 60, "--temperature", 0.9, "--seed", seed)
                     for seed in range(16)]
            clients = [server.client(*call) for call in calls]
            together = [client.communicate(timeout=60)[0] for client in clients]
            self.assertEqual([c.returncode for c in clients], [0] * 16)
            for call, answer in list(zip(calls, together))[::5]:
                self.assertEqual(run(*call, "--server", server.address).stdout, answer)
            self.assertGreater(len(set(together)), 8)

    def test_a_group_started_by_hand_serves_and_its_end_ends_serve(self):
        with Server(self.artefact, 2, "--external-group", ready="waiting for a worker group") as serve:
            mpirun = ["mpirun", "--oversubscribe", *(["--allow-run-as-root"] if os.geteuid() == 0 else [])]
            with subprocess.Popen([*mpirun, "-n", "2", OCTET, "worker", self.artefact, "--coordinator", serve.address],
                                  stderr=subprocess.DEVNULL) as group:
                wait_until(lambda: "(tp 2) ready" in serve.output(), 60, "the group is there")
                run("complete", "The cat", "--max-tokens", 8, "--server", serve.address)
                group.terminate()
                self.assertEqual(serve.process.wait(20), 3)
            self.assertIn("started by hand", serve.output())

    def test_sigterm_ends_everything_with_code_0(self):
        with Server(self.artefact, 2) as server:
            self.assertEqual(len(server.workers()), 2)
            server.process.send_signal(signal.SIGTERM)
            self.assertEqual(server.process.wait(20), 0)
            self.assertEqual(processes(f"--coordinator={server.address}"), [])

    def test_interrupted_before_it_is_ready_it_says_so_by_its_code(self):
        with Server(self.artefact, 1, "--external-group", ready="waiting for a worker group") as server:
            server.process.send_signal(signal.SIGINT)
            self.assertEqual(server.process.wait(20), 130)

    def test_a_hostfile_without_hosts_is_named(self):
        with tempfile.TemporaryDirectory() as folder:
            hosts = Path(folder) / "hosts"
            hosts.write_text("# none\n\n")
            self.one_line(run("serve", self.artefact, "--hostfile", hosts, check=False), 2, f"{hosts}: names no host")

    def test_a_request_that_is_too_large_is_a_wrong_one(self):
        with Server(self.artefact, 1) as server:
            done = subprocess.run([OCTET, "chat", "--server", server.address], input="a " * 3_000_000, text=True,
                                  capture_output=True, timeout=60)
            self.one_line(done, 2, "bytes, the most are 4194304")

    def killed(self, victim):
        """Kills victim(server) mid-stream; the client must hear of it within 2 s, and all processes must end."""
        with Server(self.artefact, 3, "--step-timeout", "5") as server:
            stop = threading.Event()
            results = []

            def stream():
                while not stop.is_set():
                    client = server.client(*LONG)
                    results.append((client.communicate(timeout=60)[1], client.returncode, time.time()))

            threads = [threading.Thread(target=stream) for _ in range(4)]
            for thread in threads:
                thread.start()
            wait_until(lambda: len(results) >= 4, 30, "streams flow")
            killed_at = time.time()
            os.kill(victim(server), signal.SIGKILL)
            failed = wait_until(lambda: [r for r in results if r[1] != 0], 10, "a client hears of it")
            stop.set()
            for thread in threads:
                thread.join()
            self.assertLess(failed[0][2] - killed_at, 2.0)
            self.assertIn(failed[0][1], (3, 4), failed)
            self.assertRegex(failed[0][0], r"error: .*(lost|worker group|UNAVAILABLE|not)")
            self.assertEqual(server.process.wait(15), 3, server.output())
            self.assertIn("the worker group was lost", server.output())
            self.assertEqual(processes(f"--coordinator={server.address}"), [])

    def test_a_killed_rank_ends_the_group(self):
        self.killed(lambda server: max(server.workers()))

    def test_a_killed_leader_ends_the_group(self):
        self.killed(lambda server: min(server.workers()))

    def test_a_killed_mpirun_ends_the_group(self):
        self.killed(lambda server: server.mpirun()[0])

    def test_no_worker_outlives_a_killed_serve(self):
        with Server(self.artefact, 2) as server:
            server.process.kill()
            server.process.wait()
            wait_until(lambda: not processes(f"--coordinator={server.address}"), 10, "the workers end")

    def test_a_client_that_leaves_frees_its_place(self):
        with Server(self.artefact, 2, "--max-num-seqs", "1") as server:
            client = server.client(*LONG)
            client.stdout.read(1)
            client.kill()
            client.communicate()
            start = time.time()
            run("complete", "The", "--max-tokens", 2, "--server", server.address)
            self.assertLess(time.time() - start, 5)

    def test_ctrl_c_ends_a_client_that_waits(self):
        with Server(self.artefact, 1) as server:
            rank, = server.workers()
            os.kill(rank, signal.SIGSTOP)
            client = server.client(*LONG)
            time.sleep(1)
            client.send_signal(signal.SIGINT)
            try:
                self.assertEqual(client.communicate(timeout=3)[1].strip(), "octet: error: interrupted")
                self.assertEqual(client.returncode, 130)
            finally:
                client.kill()
                os.kill(rank, signal.SIGCONT)

    def test_a_deadline_ends_the_answer(self):
        with Server(self.artefact, 1) as server:
            late = run(*LONG, "--timeout", 0.001, "--server", server.address, check=False)
            self.assertEqual(late.returncode, 5)
            self.assertRegex(late.stderr, r"^octet complete: error: .*(?i:deadline)")

    def test_bad_requests_are_one_line(self):
        with Server(self.artefact, 1) as server:
            for args, what in ((("complete", ""), "prompt"),
                               (("complete", "a", "--model", "nobody"), "nobody"),
                               (("complete", "word " * 600), "512"),
                               (("complete", "a", "--max-tokens", 600), "600"),
                               (("complete", "a", "--max-tokens", 1 << 32), "whole number from 0 to 4294967295"),
                               (("complete", "a", "--temperature", -1), "temperature"),
                               (("complete", "a", "--top-p", 2), "top-p"),
                               (("complete", b"\xff\xfe".decode("utf-8", "surrogateescape")), "UTF-8"),
                               (("chat", "hello"), "template")):
                wrong = run(*args, "--server", server.address, check=False)
                self.assertEqual(wrong.returncode, 2, args)
                self.assertRegex(wrong.stderr, rf"^octet \w+: error: .*{what}.*\n$", args)
            run("complete", "The", "--max-tokens", 1, "--server", server.address)


class Misuse(ArtefactTest):
    def error(self, *args, code=2):
        done = run(*args, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        self.assertEqual(len(lines), 1, done.stderr)
        return lines[0]

    def test_every_misuse_is_one_line_that_names_it(self):
        self.assertIn("fly", self.error("fly"))
        self.assertIn("MODEL", self.error("generate"))
        self.assertIn("--tensor-parallel-size", self.error("generate", self.artefact, "a", "--tp", 0))
        self.assertIn("9", self.error("generate", self.artefact, "a", "--tp", 9))
        self.assertIn("/nowhere", self.error("generate", "/nowhere", "a"))
        self.assertIn("/nowhere", self.error("serve", "/nowhere", "--port", 0))
        self.assertIn("pentium", self.error("generate", self.artefact, "a", "--isa", "pentium"))
        self.assertIn("reference", self.error("generate", self.artefact, "a", "--device", "reference", "--isa", "avx2"))
        self.assertIn("513", self.error("generate", self.artefact, "a", "--max-model-len", 513))
        self.assertIn("513", self.error("generate", self.artefact, "a", "--max-model-len", 513, "--tp", 3))
        self.assertIn("stories", self.error("quantize", self.artefact, self.artefact))
        self.assertIn("above 0", self.error("generate", self.artefact, "a", "--outlier-threshold", 0))
        self.assertIn("--score", self.error("generate", self.artefact, "a", "--score"))
        self.assertIn("UTF-8", self.error("serve", self.artefact, "--port", 0, "--served-model-name",
                                          b"\xff".decode("utf-8", "surrogateescape")))
        self.assertIn("127.0.0.1:1", self.error("complete", "a", "--server", "127.0.0.1:1", code=4))
        self.assertIn("GPUs", self.error("generate", self.artefact, "a", "--communicator", "ipc"))
        self.assertIn("GPUs", self.error("generate", self.artefact, "a", "--reduce", "fast", "--tp", 2))

    def test_ranks_that_their_launcher_left_alone_say_so(self):
        for variable in ("SLURM_STEP_NUM_TASKS", "PMI_SIZE"):
            for args in (("worker", self.artefact, "--coordinator", "127.0.0.1:1"), ("generate", self.artefact, "a", "--tp", 2)):
                alone = run(*args, check=False, env={**os.environ, variable: "4"})
                self.assertEqual(alone.returncode, 2, alone.stderr)
                self.assertRegex(alone.stderr, rf"^octet \w+: error: {variable} is 4, .*srun --mpi=pmix.*\n$")

    def test_a_wrong_id_is_told_with_its_file_and_line(self):
        for line, what in (("[1.5]", "1.5"), ("[-1]", "-1"), ("[1", "JSON"), ("[" * 100000 + "]" * 100000, "array")):
            with tempfile.NamedTemporaryFile("w") as ids:
                ids.write(f"[1]\n{line}\n")
                ids.flush()
                error = self.error("generate", self.artefact, "--prompt-ids-file", ids.name)
                self.assertRegex(error, f"{ids.name}:2: .*{what}")

    def test_prompts_in_a_pipe_are_for_one_rank(self):
        for ranks, code in ((1, 0), (2, 2)):
            read, write = os.pipe()
            os.write(write, b"Once upon a time\n")
            os.close(write)
            done = run("generate", self.artefact, "--prompt-file", f"/dev/fd/{read}", "--max-tokens", 2, "--tp", ranks,
                       pass_fds=(read,), check=False)
            os.close(read)
            self.assertEqual(done.returncode, code, done.stderr)
        self.assertIn(f"/dev/fd/{read}: not a regular file", done.stderr)

    def test_an_answer_that_stdout_does_not_take_is_no_success(self):
        for args in (("version",), ("inspect", self.artefact)):
            with open("/dev/full", "w") as full:
                done = subprocess.run([OCTET, *args], stdout=full, stderr=subprocess.PIPE, text=True)
            self.assertEqual(done.returncode, 2, args)
            self.assertRegex(done.stderr, r"^octet \w+: error: .*\n$")

    def test_a_port_in_use_is_named(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            done = run("serve", self.artefact, "--port", port, check=False)
            self.assertIn(done.returncode, (2, 4))
            self.assertRegex(done.stderr, rf"octet serve: error: .*{port}")

    def test_every_verb_has_help(self):
        verbs = re.findall(r"^  (\w+) ", run("--help").stdout.split("Subcommands:")[1], re.M)
        self.assertGreaterEqual(len(verbs), 9, verbs)
        for verb in verbs:
            self.assertIn("Usage:", run(verb, "--help").stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)

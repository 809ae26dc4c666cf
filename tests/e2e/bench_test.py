#!/usr/bin/env python3
"""octet bench and octet scale as users meet them: real servers, real failures."""
import http.server
import json
import resource
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path

from octet_process import OCTET, ArtefactTest, Server, processes, run, wait_until

SMALL = ("--random-input-len", 16, "--random-output-len", 8)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class HttpServer:
    """An HTTP server that answers every POST by `answer(handler, number)`."""

    def __init__(self, answer):
        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_GET(self):
                body = b'{"data": [{"id": "model"}]}'
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                self.server.posts += 1
                answer(self, self.server.posts)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.posts = 0
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exception):
        self.server.shutdown()
        self.server.server_close()


def stream_tokens(handler, tokens=4):
    handler.send_response(200)
    handler.send_header("Content-Type", "text/event-stream")
    handler.end_headers()
    for _ in range(tokens):
        handler.wfile.write(b'data: {"choices": [{"text": " a"}]}\n\n')
    handler.wfile.write(b"data: [DONE]\n\n")


def refuse(handler, status, message):
    body = json.dumps({"error": {"message": message}}).encode()
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


class BenchCase(ArtefactTest):
    def setUp(self):
        self.results = tempfile.TemporaryDirectory()
        self.addCleanup(self.results.cleanup)

    def saved(self, name="bench"):
        return json.loads((Path(self.results.name) / f"{name}.json").read_text())


class BenchServe(BenchCase):
    def test_a_rate_is_sent_and_reported_in_three_files(self):
        with Server(self.artefact, 2) as server:
            done = run("bench", "serve", "--address", server.address, *SMALL, "--num-prompts", 30, "--request-rate", 30,
                       "--goodput", "ttft:10000", "e2el:0.001", "--result-dir", self.results.name)
            self.assertIn("output tokens/s", done.stdout)
            saved = self.saved()
            self.assertEqual((saved["completed"], saved["failed"]), (30, 0))
            self.assertEqual(saved["total_output_tokens"], 30 * 8)
            self.assertEqual(saved["total_input_tokens"], 30 * 16)
            self.assertEqual(saved["request_goodput"], 0)
            self.assertGreater(saved["duration"], 0.7)
            self.assertLess(saved["median_send_lag_ms"], 50)
            self.assertEqual(saved["settings"]["request-rate"], "30")
            self.assertEqual(len((Path(self.results.name) / "bench.csv").read_text().splitlines()), 31)
            self.assertIn("</html>", (Path(self.results.name) / "bench.html").read_text())

    def test_load_is_spread_over_several_servers(self):
        with Server(self.artefact, 1) as one, Server(self.artefact, 1) as two:
            run("bench", "serve", "--address", one.address, two.address, *SMALL, "--num-prompts", 10,
                "--max-concurrency", 2, "--result-dir", self.results.name)
            self.assertEqual(self.saved()["completed"], 10)
            one.process.send_signal(signal.SIGTERM)
            one.process.wait(20)
            half = run("bench", "serve", "--address", two.address, *SMALL, "--num-prompts", 4)
            self.assertIn("4 of 4", half.stdout)

    def test_a_search_ends_between_a_rate_that_keeps_and_one_that_does_not(self):
        with Server(self.artefact, 1, "--max-num-seqs", 2) as server:
            run("bench", "serve", "--address", server.address, *SMALL, "--num-prompts", 60, "--search", "--slo",
                "p90_ttft:400", "--search-tolerance", 0.2, "--result-dir", self.results.name)
            search = self.saved()["search"]
            self.assertGreater(search["highest_rate_kept"], 0)
            self.assertLessEqual(search["lowest_rate_failed"], 1.21 * search["highest_rate_kept"])
            for probe in search["probes"]:
                self.assertEqual(probe["kept"], probe["request_rate"] <= search["highest_rate_kept"])

    def test_a_search_for_what_no_rate_keeps_ends(self):
        with Server(self.artefact, 1) as server:
            done = run("bench", "serve", "--address", server.address, *SMALL, "--num-prompts", 20, "--request-rate", 20,
                       "--search", "--slo", "p99_ttft:0.001")
            self.assertIn("no rate within the limits was found: a request alone breaks them too", done.stdout)

    def test_a_search_ends_with_its_server(self):
        with Server(self.artefact, 1) as server:
            bench = subprocess.Popen(
                [OCTET, "bench", "serve", "--address", server.address, "--num-prompts", "100", "--search", "--slo",
                 "p90_ttft:4000", "--request-rate", "20", *map(str, SMALL), "--result-dir", self.results.name],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            bench.stdout.readline()  # one rate is measured
            server.process.kill()
            out, err = bench.communicate(timeout=20)
            self.one_line(subprocess.CompletedProcess([], bench.returncode, out, err), 3, "requests failed")
            self.assertEqual(self.saved()["search"]["highest_rate_kept"], 20)

    def test_an_interruption_keeps_what_was_measured(self):
        with Server(self.artefact, 1) as server:
            bench = subprocess.Popen(
                [OCTET, "bench", "serve", "--address", server.address, "--num-prompts", "100000", "--max-concurrency",
                 "2", *map(str, SMALL), "--result-dir", self.results.name],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            time.sleep(1.5)
            bench.send_signal(signal.SIGINT)
            out, err = bench.communicate(timeout=10)
            self.assertEqual(bench.returncode, 130)
            self.assertIn("requests completed", out)
            self.assertIn("interrupted: the figures are of a part", err)
            saved = self.saved()
            self.assertTrue(saved["interrupted"])
            self.assertGreater(saved["completed"], 10)
            self.assertEqual(saved["failed"], 0)

    def test_interrupted_before_the_first_answer_it_leaves_earlier_results(self):
        file = Path(self.results.name) / "bench.json"
        file.write_text("earlier")
        with HttpServer(lambda handler, number: time.sleep(2)) as server:
            bench = subprocess.Popen(
                [OCTET, "bench", "serve", "--backend", "openai", "--base-url", server.url, "--num-prompts", "2",
                 "--num-warmups", "0", "--result-dir", self.results.name],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            wait_until(lambda: server.server.posts > 0, 20, "a request")
            bench.send_signal(signal.SIGINT)
            out, err = bench.communicate(timeout=10)
        self.assertEqual((bench.returncode, out), (130, ""))
        self.assertIn("interrupted before anything was measured", err)
        self.assertEqual(file.read_text(), "earlier")

    def test_a_trace_is_replayed_and_its_malformed_lines_are_named(self):
        trace = Path(self.results.name) / "trace.csv"
        trace.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:00:00,20,5\n"
                         "2023-11-16 18:00:00.2,many,5\n2023-11-16 18:00:00.5,30,6\n2023-11-16 18:00:01,4000,6\n")
        with Server(self.artefact, 1) as server:
            flags = ("bench", "serve", "--address", server.address, "--dataset-name", "azure", "--dataset-path", trace,
                     "--num-warmups", 0, "--result-dir", self.results.name)
            self.one_line(run(*flags, check=False), 2, "trace.csv:3: ContextTokens is 'many'")
            done = run(*flags, "--skip-malformed", "--trace-speed", 2)
            self.assertIn("1 malformed entries left out", done.stderr)
            self.assertIn("1 of 3 requests do not fit", done.stderr)
            self.assertEqual((self.saved()["completed"], self.saved()["total_output_tokens"]), (2, 11))

    def test_a_server_that_dies_is_one_line_and_what_was_measured_is_kept(self):
        with Server(self.artefact, 1) as server:
            bench = subprocess.Popen(
                [OCTET, "bench", "serve", "--address", server.address, "--num-prompts", "2000", "--request-rate", "100",
                 *map(str, SMALL), "--result-dir", self.results.name],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            time.sleep(1.5)
            server.process.kill()
            out, err = bench.communicate(timeout=20)
            self.one_line(subprocess.CompletedProcess([], bench.returncode, out, err), 3, "requests failed")
            self.assertGreater(self.saved()["completed"], 10)
            self.assertIn("in a row found no server", self.saved()["given_up"])

    def test_nobody_there_is_one_line(self):
        self.one_line(run("bench", "serve", "--address", f"127.0.0.1:{free_port()}", check=False), 4, "no coordinator")
        self.one_line(run("bench", "serve", "--backend", "openai", "--base-url", f"http://127.0.0.1:{free_port()}",
                          check=False), 4, "nothing answers")

    def test_an_openai_server_is_measured(self):
        with HttpServer(lambda handler, number: stream_tokens(handler)) as server:
            run("bench", "serve", "--backend", "openai-chat", "--base-url", server.url, "--num-prompts", 20,
                "--request-rate", 50, "--result-dir", self.results.name)
            self.assertEqual((self.saved()["completed"], self.saved()["total_output_tokens"]), (20, 80))

    def test_a_server_that_answers_errors_is_one_line(self):
        with HttpServer(lambda handler, number: refuse(handler, 500, "out of memory")) as server:
            done = run("bench", "serve", "--backend", "openai", "--base-url", server.url, check=False)
            self.one_line(done, 3, "HTTP 500: 'out of memory'")
            self.assertEqual(server.server.posts, 1)
        def every_third(handler, number):
            if number % 3 == 0:
                refuse(handler, 429, "slow down")
            else:
                stream_tokens(handler)

        with HttpServer(every_third) as server:
            done = run("bench", "serve", "--backend", "openai", "--base-url", server.url, "--num-prompts", 30,
                       "--num-warmups", 0, "--max-concurrency", 1, "--result-dir", self.results.name, check=False)
            self.one_line(done, 5, "10 of 30 requests failed", "HTTP 429: 'slow down'")
            self.assertEqual(self.saved()["completed"], 20)

    def test_a_disk_that_fills_is_one_line_and_the_figures_are_on_the_terminal(self):
        def small_files():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))

        with HttpServer(lambda handler, number: stream_tokens(handler)) as server:
            done = run("bench", "serve", "--backend", "openai", "--base-url", server.url, "--num-prompts", 10,
                       "--result-dir", self.results.name, check=False, preexec_fn=small_files, restore_signals=False)
            self.one_line(done, 2, "bench.", "write", "(written: bench.csv")
            self.assertIn("output tokens/s", done.stdout)
            self.assertEqual([p.name for p in Path(self.results.name).iterdir()], ["bench.csv"])


class BenchOffline(BenchCase):
    def test_throughput_and_latency_at_any_rank_count(self):
        out = Path(self.results.name) / "out.json"
        for ranks in (1, 2):
            run("bench", "throughput", self.artefact, "--tp", ranks, "--num-prompts", 20, *SMALL, "--output-json", out)
            result = json.loads(out.read_text())
            self.assertEqual((result["num_requests"], result["total_num_tokens"]), (20, 20 * 24))
            self.assertEqual(result["tensor_parallel_size"], ranks)
            done = run("bench", "latency", self.artefact, "--tp", ranks, "--batch-size", 3, "--input-len", 16,
                       "--output-len", 8, "--num-iters", 4, "--output-json", out)
            self.assertIn("batch 3", done.stdout)
            result = json.loads(out.read_text())
            self.assertEqual(len(result["latencies"]), 4)
            self.assertGreater(result["avg_latency"], result["prefill_seconds"]["mean"])

    def test_an_interruption_without_a_server_keeps_what_was_measured(self):
        out = Path(self.results.name) / "out.json"
        short = ["--input-len", "4", "--output-len", "4"]
        for command in (["latency", "--num-iters", "100000"], ["throughput", "--num-prompts", "100000"]):
            out.unlink(missing_ok=True)
            bench = subprocess.Popen([OCTET, "bench", *command, *short, str(self.artefact), "--output-json", str(out)],
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            time.sleep(3)
            bench.send_signal(signal.SIGINT)
            bench.communicate(timeout=10)
            self.assertEqual(bench.returncode, 130)
            self.assertTrue(json.loads(out.read_text())["interrupted"])

    def test_a_file_that_cannot_be_written_is_said_before_the_work_begins(self):
        out = Path(self.results.name) / "none" / "out.json"
        for ranks in (1, 2):
            self.one_line(run("bench", "latency", self.artefact, "--tp", ranks, "--output-json", out, check=False), 2,
                          f"{out}: cannot be written")

    def test_what_does_not_fit_is_one_line(self):
        self.one_line(run("bench", "latency", self.artefact, "--input-len", 4000, check=False), 2, "4000")


class Scale(BenchCase):
    def command(self, *more):
        return [OCTET, "scale", str(self.artefact), "--tp", "1,2", "--replicas", "1,2", "--request-rates", "20,inf",
                "--num-prompts", "20", *map(str, SMALL), "--result-dir", self.results.name, *map(str, more)]

    def cells(self):
        return {path.name: path.stat().st_mtime_ns for path in Path(self.results.name).glob("cells/*.json")}

    def test_an_interrupted_grid_goes_on_where_it_stood(self):
        with subprocess.Popen(self.command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as scale:
            wait_until(lambda: len(self.cells()) >= 3, 60, "three cells")
            scale.send_signal(signal.SIGINT)
            out, _ = scale.communicate(timeout=20)
            self.assertEqual(scale.returncode, 130)
            self.assertIn("parallel efficiency", out)
        first = self.cells()
        self.assertLess(len(first), 8)
        self.assertEqual(processes(f"serve {self.artefact}"), [])
        done = subprocess.run(self.command(), capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        second = self.cells()
        self.assertEqual(len(second), 8)
        self.assertEqual({name: second[name] for name in first}, first)
        report = (Path(self.results.name) / "scale.html").read_text()
        self.assertIn("tp 2 x 2", report)
        other = subprocess.run(self.command("--seed", 9), capture_output=True, text=True, timeout=60)
        self.one_line(other, 2, "settings.json", "seed")

    def test_interrupted_before_anything_is_measured_it_shows_no_table(self):
        with subprocess.Popen(self.command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as scale:
            wait_until(lambda: list(Path(self.results.name).glob("*.log")), 60, "a group that starts")
            scale.send_signal(signal.SIGINT)
            out, err = scale.communicate(timeout=20)
        self.assertEqual((scale.returncode, out), (130, ""))
        self.assertIn(f"interrupted: the same command goes on with what is in {self.results.name}", err)

    def test_a_group_that_cannot_start_is_one_line(self):
        done = subprocess.run([OCTET, "scale", "nowhere", "--result-dir", self.results.name], capture_output=True,
                              text=True, timeout=60)
        self.one_line(done, 2, "tp 1 x 1", "nowhere")


if __name__ == "__main__":
    unittest.main()

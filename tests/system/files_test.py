# SPDX-License-Identifier: Apache-2.0
"""Files as messages: names travel along, and no name leads out of the folder."""
import pathlib
import subprocess

import stage
from stage import FAILED, OK


class Files(stage.SystemTest):
    @classmethod
    def setUpClass(cls):
        cls.shared = stage.Broker("--direct", "64M", "--heap", "16M").start()

    @classmethod
    def tearDownClass(cls):
        cls.clear(cls.shared)

    def setUp(self):
        self.queue = f"queue://{self._testMethodName[5:60]}"
        self.out = self.folder()

    def receive(self, *options):
        return self.shared.weir("recv", self.queue, "--drain", "--out-dir", str(self.out), *options)

    def send_named(self, name, text=b"content"):
        """Any name: send only gives names of files that exist."""
        done = self.shared.weir("send", self.queue, "--property", f"name={name}", stdin=text)
        self.assertEqual(done.returncode, OK, done.stderr)

    def written(self, folder=None):
        folder = folder or self.out
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*")
                if path.is_file()}

    def test_files_of_all_sizes_arrive_under_their_names(self):
        source = self.folder()
        contents = {"empty": b"", "one": b"1", "lines\n.txt": b"a\nb\n", "with space": b"s" * 8192,
                    "deep/down/below": bytes(range(256)) * 5000, "umlaut-ä": b"\xff\0" * 17,
                    "large": b"l" * (9 << 20)}
        for name, content in contents.items():
            path = source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        done = subprocess.run([stage.PROGRAM, "send", "--name", self.shared.name, self.queue,
                               "--file", *contents], cwd=source, check=False, timeout=30,
                              capture_output=True)
        self.assertEqual(done.returncode, OK, done.stderr)
        self.assertEqual(self.receive().returncode, OK)
        self.assertEqual(self.written(), contents)

    def test_a_list_of_files_is_read_from_a_file_or_from_standard_input(self):
        source = self.folder()
        (source / "a b").write_bytes(b"1")
        (source / "c").write_bytes(b"2")
        listed = source / "list"
        listed.write_text(f"{source}/a b\n{source}/c")
        for where, stdin in ((str(listed), b""), ("-", listed.read_bytes())):
            with self.subTest(where=where):
                done = self.shared.weir("send", self.queue, "--files-from", where, stdin=stdin)
                self.assertEqual(done.returncode, OK, done.stderr)
                self.assertEqual(self.shared.drain(self.queue), [b"1", b"2"])

    def test_names_that_lead_out_of_the_folder_are_refused_and_not_acknowledged(self):
        for name in ("/etc/weir-was-here", "../outside", "a/../../outside", "..", "a/..", "", ".",
                     "folder/", "x" * 300):
            with self.subTest(name=name):
                self.send_named(name)
                done = self.receive()
                self.check(done, FAILED)
                self.assertEqual(self.written(), {})
                self.assertEqual(self.shared.drain(self.queue), [b"content"])
        self.assertFalse(pathlib.Path("/etc/weir-was-here").exists())
        self.assertFalse((self.out.parent / "outside").exists())

    def test_a_symbolic_link_in_the_folder_is_not_followed(self):
        elsewhere = self.folder()
        (self.out / "link").symlink_to(elsewhere)
        self.send_named("link/file")
        self.check(self.receive(), FAILED, "link/file", "symbolic link")
        self.assertEqual(self.written(elsewhere), {})
        self.assertEqual(self.shared.drain(self.queue), [b"content"])

    def test_a_link_in_the_place_of_the_file_is_replaced_and_not_written_through(self):
        victim = self.folder() / "victim"
        victim.write_bytes(b"untouched")
        (self.out / "file").symlink_to(victim)
        self.send_named("file")
        self.assertEqual(self.receive().returncode, OK)
        self.assertEqual(victim.read_bytes(), b"untouched")
        self.assertFalse((self.out / "file").is_symlink())
        self.assertEqual((self.out / "file").read_bytes(), b"content")

    def test_harmless_dots_and_slashes_in_a_name_are_left_out(self):
        self.send_named("./a//b/./c")
        self.assertEqual(self.receive().returncode, OK)
        self.assertEqual(self.written(), {"a/b/c": b"content"})

    def test_messages_without_a_name_are_numbered_and_never_overwrite_each_other(self):
        self.shared.send(self.queue, [b"1", b"2"])
        self.assertEqual(self.receive().returncode, OK)
        self.shared.send(self.queue, [b"3"])
        self.assertEqual(self.receive().returncode, OK)
        self.assertEqual(self.written(),
                         {"000001.msg": b"1", "000002.msg": b"2", "000003.msg": b"3"})

    def test_an_output_folder_that_cannot_be_made_is_an_error_and_loses_nothing(self):
        self.send_named("a")
        (self.out / "file").write_bytes(b"")
        self.out = self.out / "file" / "below"
        self.check(self.receive(), FAILED, "file/below")
        self.assertEqual(self.shared.drain(self.queue), [b"content"])


if __name__ == "__main__":
    stage.main()

import os

# Before anything reads it: the runner that tests alone can use.
os.environ["LAUNCHD_TEST_TARGETS"] = "fake=tests.support.fake_runner:FakeRunner"

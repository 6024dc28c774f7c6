# Everything is a cargo command; these are its short names. `make help` tells what each does.
.PHONY: demo test test-full soak test-cgroup2 measure ci tools build hook help
demo test test-full soak test-cgroup2 measure ci tools build hook help:
	@cargo xtask $@
.DEFAULT_GOAL := help

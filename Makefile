# Each target calls cargo or a script; what they do stands there. `make` alone builds.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
.PHONY: build setup demo test check bench docs install up down

STACK ?=

build: ; cargo build --release
setup: ; scripts/setup
demo: ; scripts/demo
test: ; scripts/setup --tests && scripts/check
check: ; scripts/check
bench: ; scripts/bench
docs: ; scripts/docs
install: ; scripts/install
up: ; scripts/lsx up $(STACK)
down: ; scripts/lsx down $(STACK)

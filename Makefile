# The commands of this house; each is a script that can also be run by itself.
.PHONY: help setup build demo demo-down test verify bench

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | expand -t 12

setup: ## Installs what is missing on this machine, and builds the base images
	scripts/setup --for all

build: ## The one static binary, and where it lies
	scripts/build

demo: ## A git push becomes a served page: the whole release of a Spring Boot service
	scripts/demo

demo-down: ## Removes everything that the demo made
	scripts/demo-down

test: ## Every test: fast ones, then end to end
	scripts/test

verify: ## What a change must pass before it is proposed, without the end-to-end tests
	scripts/test --fast

bench: ## The benchmarks, as a table
	scripts/setup --for bench
	cargo xtask bench

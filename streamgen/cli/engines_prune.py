"""`streamgen engines prune`: deletes built networks; imports no torch."""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import asdict

from engines.cache import EngineCache, cache_root
from streamgen.cli.engines_list import built_of, counted, megabytes, print_built
from streamgen.cli.json_report import check_report, save_report


def execute(args: argparse.Namespace) -> int:
    """Delete the longest unused entries until the rest fits, and print them."""
    check_report(args.json)
    cache = EngineCache(cache_root(os.environ))
    # What the manifests tell has to be read before they are gone.
    before = {each.key: each for each in built_of(cache.entries())}
    gone = {entry.key for entry in cache.prune(args.max_size)}
    removed = [each for key, each in before.items() if key in gone]
    kept = sum(each.size_bytes for key, each in before.items() if key not in gone)
    if args.json:
        entries = [asdict(each) for each in removed]
        save_report({"cache": str(cache.root), "removed": entries, "kept_bytes": kept}, args.json)
        return 0
    print_built(removed, now=time.time())
    print(f"{counted(removed)} deleted, {megabytes(kept)} MB kept in {cache.root}")
    return 0

"""``python -m sen_bench`` is ``sen-bench``."""

from sen_bench.cli import main

if __name__ == "__main__":
    main()

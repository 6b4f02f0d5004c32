"""Generators: from a recipe to a dataset.

A `Recipe` says what to generate, `generate` writes it. Equal recipes give equal bytes, whatever the number
of workers.
"""

from sen_bench.generators.generation import GenerationResult as GenerationResult
from sen_bench.generators.generation import generate as generate
from sen_bench.generators.policy import Policy as Policy
from sen_bench.generators.recipe import GENERATOR_VERSION as GENERATOR_VERSION
from sen_bench.generators.recipe import Recipe as Recipe
from sen_bench.generators.shards import episode_arrays as episode_arrays
from sen_bench.generators.workers import RunShards as RunShards

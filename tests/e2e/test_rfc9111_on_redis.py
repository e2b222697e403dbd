"""What the clauses ask of the store, on Redis: sealed entries, conditions, groups, and near copies."""

import test_rfc9111
import test_rfc9111_reuse
from harness import main
from test_examples_on_redis import on_redis

VaryOnRedis = on_redis(test_rfc9111.Vary)
GroupsOnRedis = on_redis(test_rfc9111.Groups)
ValidationOnRedis = on_redis(test_rfc9111_reuse.Validation)
StaleOnRedis = on_redis(test_rfc9111_reuse.Stale)
RangesOnRedis = on_redis(test_rfc9111_reuse.Ranges)

if __name__ == "__main__":
    main()

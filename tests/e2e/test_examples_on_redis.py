"""The five applications of conf/examples with --redis and nothing else changed: the same journeys."""

import os
from unittest import mock

import test_example_bizpilot
import test_example_finance
import test_example_jobs_feed
import test_example_programs
import test_example_propiq
from harness import main
from redis_servers import SECRET, Redis
from test_redis import wait_connected


def on_redis(journey):
    """The journey's class with every gateway of it on a Redis of the test's own."""

    class OnRedis(journey):
        def setUp(self):
            redis = Redis()
            self.addCleanup(redis.close)
            self.redis_arguments = ("--redis", redis.url)
            variables = mock.patch.dict(os.environ, {"CACHEGATE_SECRET": SECRET,
                                                     "CACHEGATE_STORE_TIMEOUT": "5s"})
            variables.start()
            self.addCleanup(variables.stop)
            super().setUp()

        def gateway(self, *arguments, **options):
            options["arguments"] = tuple(options.get("arguments", ())) + self.redis_arguments
            front = super().gateway(*arguments, **options)
            wait_connected(front)
            return front

    OnRedis.__name__ = OnRedis.__qualname__ = journey.__name__ + "OnRedis"
    return OnRedis


FinanceOnRedis = on_redis(test_example_finance.FinanceJourney)
BizpilotOnRedis = on_redis(test_example_bizpilot.BizpilotJourney)
JobsFeedOnRedis = on_redis(test_example_jobs_feed.JobsFeedJourney)
# A look that was under way when the refreshed answer was stored refreshes it once more.
JobsFeedOnRedis.feed_fetches = (2, 3)
ProgramsOnRedis = on_redis(test_example_programs.ProgramsJourney)
PropiqOnRedis = on_redis(test_example_propiq.PropiqJourney)

if __name__ == "__main__":
    main()

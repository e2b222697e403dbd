"""The judge against histories made by hand."""

import unittest

from history import Read, Write, judge


def wrote(number, started, ended, **more):
    more.setdefault("answered", True)
    more.setdefault("committed", (started + ended) / 2)
    return Write(0, started, ended, number=number, **more)


def read(number, started, item=0, **more):
    return Read(started, started + 0.5, {item: number}, **more)


class Judge(unittest.TestCase):
    def verdict(self, writes, reads):
        return judge(writes, reads)

    def assertSound(self, writes, reads):
        self.assertTrue(judge(writes, reads).sound(), judge(writes, reads))

    def assertStale(self, writes, reads, count=1):
        self.assertEqual(len(judge(writes, reads).stale), count)

    def test_nothing_happened(self):
        self.assertSound([], [])
        self.assertSound([], [read(0, 1)])

    def test_a_read_after_the_answer_must_see_the_write(self):
        self.assertStale([wrote(1, 10, 20)], [read(0, 21)])
        self.assertSound([wrote(1, 10, 20)], [read(1, 21)])

    def test_a_read_that_started_before_the_answer_may_see_either(self):
        for started in (5, 15, 19.9, 20):
            self.assertSound([wrote(1, 10, 20)], [read(0, started), read(1, started)])

    def test_a_long_read_counts_from_its_start(self):
        self.assertSound([wrote(1, 10, 20)], [Read(19, 400, {0: 0})])

    def test_a_newer_state_is_always_welcome(self):
        self.assertSound([wrote(1, 10, 20), wrote(2, 10, 90)], [read(2, 21)])

    def test_the_newest_answered_write_counts_whatever_the_order_of_answers(self):
        writes = [wrote(2, 10, 20), wrote(1, 5, 30)]
        self.assertStale(writes, [read(1, 31)])
        self.assertStale(writes, [read(1, 21)])
        self.assertSound(writes, [read(2, 31)])

    def test_items_are_apart(self):
        self.assertSound([wrote(1, 10, 20)], [read(0, 21, item=1)])
        self.assertStale([wrote(1, 10, 20)], [Read(21, 22, {0: 0, 1: 0})])

    def test_one_read_can_be_stale_in_two_items(self):
        other = Write(1, 10, 20, True, number=1, committed=15)
        self.assertStale([wrote(1, 10, 20), other], [Read(21, 22, {0: 0, 1: 0})], 2)

    def test_an_unknown_outcome_binds_nobody(self):
        unknown = wrote(1, 10, 20, answered=False)
        self.assertSound([unknown], [read(0, 21), read(1, 22), read(0, 23)])

    def test_until_a_later_write_was_answered(self):
        writes = [wrote(1, 10, 20, answered=False), wrote(2, 30, 40)]
        self.assertStale(writes, [read(1, 41)])
        self.assertSound(writes, [read(0, 35), read(2, 41)])

    def test_a_protected_write_binds_from_its_commit_even_without_an_answer(self):
        lost = wrote(1, 10, 20, answered=False, protected=True, committed=25)
        self.assertSound([lost], [read(0, 22)])
        self.assertStale([lost], [read(0, 26)])

    def test_what_was_never_committed_binds_nobody(self):
        for answered in (True, False):
            never = Write(0, 10, 20, answered, protected=True)
            self.assertSound([never], [read(0, 30)])

    def test_a_commit_after_the_answer_binds_from_the_commit(self):
        late = wrote(1, 10, 20, committed=30)
        self.assertSound([late], [read(0, 25)])
        self.assertStale([late], [read(0, 31)])

    def test_staleness_counts_from_the_first_write_that_was_missed(self):
        writes = [wrote(1, 0, 10), wrote(2, 0, 20), wrote(3, 0, 30)]
        judgement = judge(writes, [read(1, 35), read(2, 32), read(3, 33)])
        self.assertEqual([stale.age_s for stale in judgement.stale], [15, 2])
        self.assertEqual(judgement.longest_s(), 15)
        self.assertEqual([stale.expected for stale in judgement.stale], [3, 3])

    def test_a_state_that_was_never_committed_is_invented(self):
        self.assertEqual(len(judge([wrote(1, 10, 20)], [read(2, 5)]).invented), 1)

    def test_anothers_answer_is_a_leak(self):
        good = read(0, 1, asked_by="alice", shown_to="alice")
        everybodys = read(0, 1, shown_to="bob")
        bad = read(0, 1, asked_by="alice", shown_to="bob")
        self.assertEqual(judge([], [good, everybodys, bad]).leaks, [bad])


if __name__ == "__main__":
    unittest.main(verbosity=2)

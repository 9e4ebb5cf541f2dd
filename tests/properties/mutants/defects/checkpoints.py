"""Defects of what becomes of checkpoints: which are kept, how the others go, and where a training resumes."""

from tests.properties.mutants.mutant import Mutant

SQL, SERVICE = "app/db/queries/checkpoints.sql", "app/services/retention.py"
KEPT, TRASH, RESUME = "app/core/retention.py", "app/trash.py", "workers/resume.py"
TURNS = "tests/properties/turns/test_checkpoints.py"
ALL = (
    Mutant(
        "judged_but_not_remembered",
        "a pin that is taken away does not bring a pipeline back to judgement",
        SQL,
        {"SET pinned = $2, kept_by = ''": "SET pinned = $2"},
        ("test_an_old_pipeline_is_judged_once_and_again_when_a_pin_or_the_rule_changes",),
    ),
    Mutant(
        "half_deleted_is_left",
        "what a dead clean-up has begun is finished by nobody",
        SQL,
        {"WHERE state = 'deleting' LIMIT $1) AS c": "WHERE state = 'deleting' AND false LIMIT $1) AS c"},
        ("test_what_another_clean_up_has_left_half_deleted_is_finished_at_once_whatever_runs",),
    ),
    Mutant(
        "young_pipelines_are_judged",
        "the hourly clean-up thins out a pipeline that has just ended",
        SQL,
        {"FILTER (WHERE p.finished_at < $2)": "FILTER (WHERE p.finished_at IS NOT NULL)"},
        ("test_of_old_pipelines_the_best_the_last_and_the_pinned_of_each_stage_are_kept",),
    ),
    Mutant(
        "deleted_before_it_is_marked",
        "files go of checkpoints that could not be marked",
        SERVICE,
        {"doomed = [each for each in doomed if each.id in marked]": "pass"},
        (TURNS,),
        masked_by="the second look, which takes only what is marked",
    ),
    Mutant(
        "no_second_look",
        "files go though their checkpoint was reported anew since it was marked",
        SERVICE,
        {"if steps is None or not await _removable(pool, data_dir, [checkpoint]):": "if steps is None:"},
        ("test_one_that_is_written_anew_or_needed_anew_before_its_turn_is_left_alone",),
    ),
    Mutant(
        "lost_and_not_told",
        "a checkpoint stays complete though its files were removed while it was written anew",
        SERVICE,
        {"        if not is_there:\n": "        if False:\n"},
        ("test_one_that_is_reported_anew_while_its_files_are_removed_is_complete_no_more",),
    ),
    Mutant(
        "outside_its_stage",
        "a checkpoint is deleted that does not lie in the directory of its stage",
        SERVICE,
        {"if steps[: len(own)] == own and len(steps) >= DEPTH_MIN:": "if steps:"},
        ("test_what_lies_outside_the_run_is_never_deleted",),
    ),
    Mutant(
        "takes_what_lies_in_it",
        "a checkpoint goes with another one in it that is kept",
        SERVICE,
        {"return [each for each in doomed if _place(data_dir, each) not in needed]": "return list(doomed)"},
        ("test_what_is_kept_survives_when_it_lies_in_a_doomed_one_or_is_the_same_under_another_name",),
    ),
    Mutant(
        "pinned_is_not_kept",
        "a pin does not count for the judgement",
        KEPT,
        {"    return best | pinned | being_written": "    return best | being_written"},
        ("tests/core/test_retention.py",),
    ),
    Mutant(
        "one_resume_point",
        "only one checkpoint is kept to resume from, so that there is none if that is torn",
        KEPT,
        {"RESUME_POINTS = 2": "RESUME_POINTS = 1"},
        ("test_the_best_the_pinned_and_the_last_two_of_a_stage_that_runs_are_kept",),
    ),
    Mutant(
        "judged_in_doubt",
        "checkpoints go while none reports the metric",
        KEPT,
        {"    doubtful = not ranked\n": "    doubtful = False\n"},
        ("test_while_nothing_can_be_called_the_best_nothing_is_newly_deleted",),
    ),
    Mutant(
        "removed_under_its_name",
        "a directory is emptied under its own name, so that a clean-up that dies leaves a torn checkpoint",
        TRASH,
        {
            "            os.rename(steps[-1], trash, src_dir_fd=directory, dst_dir_fd=directory)\n": (
                "            _empty(directory, steps[-1])\n"
            )
        },
        ("test_a_clean_up_killed_at_any_line_loses_nothing_that_is_kept_and_the_next_one_finishes",),
    ),
    Mutant(
        "follows_links",
        "a link is followed on the way to what is to go",
        TRASH,
        {"_DIRECTORY | os.O_NOFOLLOW": "_DIRECTORY"},
        ("test_no_step_may_be_a_link", "test_a_link_put_in_the_way_after_the_judgement_is_not_followed"),
    ),
    Mutant(
        "nothing_is_gone_without_a_disk",
        "artifacts that are not mounted are taken for removed",
        TRASH,
        {
            "    directory = os.open(root, _DIRECTORY)\n    try:\n": (
                "    try:\n        directory = os.open(root, _DIRECTORY)\n    except FileNotFoundError:\n"
                "        yield None\n        return\n    try:\n"
            )
        },
        ("test_without_its_root_nothing_is_taken_for_gone",),
    ),
    Mutant(
        "resumes_unseen",
        "a training resumes from a checkpoint that nobody has looked at",
        RESUME,
        {"            if reason is None:\n": "            if True:\n"},
        ("test_what_is_cut_off_or_gone_is_passed_over_and_condemned",),
    ),
)

"""From a subject file to its result folder: the road that the command line and Python users share.

    study = load_subject("subject.toml")
    model = study_model(study)
    result = identify_study(study, model)
    result = completed_draws(model, study.trials, result)
    with result_folder("runs/anna") as folder:
        write_result(folder, study, model, result)

Of many people: a study file (`cohort_file`), their results, a table and a report (`cohort_run`).
Imports from all rooms up to `views`.
"""

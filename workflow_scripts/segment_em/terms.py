"""Names that the rules, the jobs and the files' paths and columns share."""

SPLITS = ("train", "segments", "test")  # of the records: data.<split>, index/<data>/<split>
# Of a model, <run>/<stage>.safetensors. Pretrained, one of iteration 0 or a control has seen video
# labels, a later one pseudo-labels.
STAGES = PRETRAINED, FINETUNED = "pretrained", "finetuned"
# <run>/refit.safetensors: fine-tuned on all ratings, to join an ensemble in place of FINETUNED.
REFIT = "refit"
PARTS = ("test", "validation")  # rated videos that scorers are judged on: <run>/<part>.json

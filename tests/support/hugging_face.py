"""Trains a tiny language model with Hugging Face's Trainer: any user's script, which knows nothing of Headway."""

import sys

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

STEPS = int(sys.argv[1])

torch.manual_seed(0)
tokens = torch.randint(0, 64, (256, 16))
model = GPT2LMHeadModel(GPT2Config(vocab_size=64, n_positions=16, n_embd=32, n_layer=1, n_head=2))
trainer = Trainer(
    model=model,
    args=TrainingArguments(
        output_dir="model", max_steps=STEPS, logging_steps=5, save_strategy="no", use_cpu=True, disable_tqdm=True
    ),
    train_dataset=[{"input_ids": row, "labels": row} for row in tokens],
)
trainer.train()

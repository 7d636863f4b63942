"""A training step of nanoGPT in PyTorch, beside which ours is timed: a process of its own.

python torch_gpt.py eager|compile LAYERS WIDTH HEADS VOCABULARY CONTEXT BATCH: "ready" when warm, then for each line on
standard input one timed step, whose seconds and loss it prints. As nanoGPT: fused AdamW, flash attention
(scaled_dot_product_attention), tied output, global-norm clipping; and, as GPT-2 has them, biases everywhere and the
tanh form of GELU.
"""

import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

LAYERS, WIDTH, HEADS, VOCABULARY, CONTEXT, BATCH = map(int, sys.argv[2:])


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.c_attn, self.c_proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.c_fc, self.mlp_proj = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x):
        qkv = self.c_attn(self.ln_1(x)).split(WIDTH, dim=2)
        q, k, v = (part.unflatten(2, (HEADS, -1)).transpose(1, 2) for part in qkv)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.c_proj(mixed.transpose(1, 2).flatten(2))
        return x + self.mlp_proj(F.gelu(self.c_fc(self.ln_2(x)), approximate="tanh"))


class GPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.ln_f = nn.LayerNorm(WIDTH)
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1:
                nn.init.normal_(
                    parameter, std=0.02 / ((2 * LAYERS) ** 0.5 if "proj" in name else 1)
                )

    def forward(self, tokens, targets):
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        return F.cross_entropy(
            F.linear(self.ln_f(x), self.wte.weight).flatten(0, 1), targets.flatten()
        )


def main(mode):
    torch.manual_seed(0)
    model = GPT()
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    groups = [
        {"params": matrices, "weight_decay": 0.1},
        {"params": vectors, "weight_decay": 0.0},
    ]
    adamw = torch.optim.AdamW(groups, lr=6e-4, betas=(0.9, 0.95), fused=True)
    loss_of = torch.compile(model) if mode == "compile" else model
    tokens = torch.randint(VOCABULARY, (BATCH, CONTEXT + 1))
    inputs, targets = tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()

    def step():
        loss = loss_of(inputs, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adamw.step()
        adamw.zero_grad(set_to_none=True)
        return loss.item()

    for _ in range(3):
        step()
    print("ready", flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        loss = step()
        print(time.perf_counter() - started, loss, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])

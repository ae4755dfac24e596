"""Steps of LoRA-RITE on random factors and gradients, by the authors' code (github.com/gkevinyen5418/LoRA-RITE) in float64.
Usage: rite_steps.py FOLDER_OF_THEIR_CODE OUT.json, with PyTorch."""
import sys, json, io, contextlib, torch
sys.path.insert(0, sys.argv[1])
from lora_rite import LoRARite
torch.manual_seed(3)
out = []
for decay in (0.0, 0.01):
    shapes = [(4, 12, 9), (3, 7, 10)]
    ps = []
    for r, i, o in shapes:
        ps += [torch.nn.Parameter((torch.randn(r, i, dtype=torch.float64) / i ** .5).float().double()), torch.nn.Parameter((0.3*torch.randn(o, r, dtype=torch.float64)).float().double())]
    rec = {'decay': decay, 'lr': 0.02, 'betas': [0.9, 0.99], 'shapes': shapes, 'start': [p.detach().flatten().tolist() for p in ps], 'steps': []}
    with contextlib.redirect_stdout(io.StringIO()): opt = LoRARite(ps, betas=(0.9, 0.99), lr=0.02, weight_decay=decay)
    for s in range(8):
        gs = [(torch.randn_like(p) * (0.05 if s else 0.01)).float().double() for p in ps]
        for p, g in zip(ps, gs): p.grad = g.clone()
        opt.step()
        rec['steps'].append({'gradients': [g.flatten().tolist() for g in gs], 'values': [p.detach().flatten().tolist() for p in ps]})
    out.append(rec)
json.dump(out, open(sys.argv[2], 'w'), separators=(',', ':'))

"""Sample passages of the four adapters' styles for training and judging routers: texts/train and texts/held-out, one file a style, one passage a line."""
import os, random, sys
CORPUS, OUT = sys.argv[1], sys.argv[2]
TRAIN, HELD = 60_000, 24_000 # characters of each style
def split(style):
    """The split of train.py and adapters.py: no held-out line was seen by the base or by an adapter."""
    d = [l for l in open(f'{CORPUS}/{style}.txt').read().split('\n') if l]
    if style == 'glossary': random.Random(1).shuffle(d)
    n = max(50, len(d)//50); return d[:-n], d[-n:]
def sample(lines, size, seed):
    lines = [l for l in lines if 60 <= len(l) <= 1200]; random.Random(seed).shuffle(lines); kept, total = [], 0
    for l in lines:
        if total >= size: break
        kept.append(l); total += len(l)
    return kept
for style in ['glossary', 'jargon', 'scripture', 'voyage']:
    train, held = split(style)
    for part, lines, size in (('train', train, TRAIN), ('held-out', held, HELD)):
        os.makedirs(f'{OUT}/{part}', exist_ok=True)
        open(f'{OUT}/{part}/{style}.txt', 'w').write('\n'.join(sample(lines, size, 3)) + '\n')

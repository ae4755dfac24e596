"""Build the five corpora as plain ASCII text, one file per style."""
import json, glob, re, subprocess, unicodedata, sys, os
def ascii_(s):
    s=s.translate({0x2018:"'",0x2019:"'",0x201c:'"',0x201d:'"',0x2014:'--',0x2013:'-',0xa0:' ',0x2026:'...'})
    return unicodedata.normalize('NFKD',s).encode('ascii','ignore').decode()
def clean(s): 
    s=ascii_(s).replace('\r','')
    s=re.sub(r'[ \t]+',' ',s); return re.sub(r'\n{3,}','\n\n',s).strip()
src=sys.argv[1]; out=sys.argv[2]; os.makedirs(out,exist_ok=True)
# voyage: Moby Dick
ch=sorted(glob.glob(src+'/*datasets-moby-dick*/package/data/*.txt'))
t=[]
for f in ch:
    paras=clean(open(f,encoding='utf-8').read()).split('\n\n'); t+= [p.replace('\n',' ').strip() for p in paras if p.strip()]
t=list(dict.fromkeys(t)) # the package holds some chapters twice
open(out+'/voyage.txt','w').write('\n'.join(t)+'\n')
# address: State of the Union
t=[]
for f in sorted(glob.glob(src+'/*datasets-sotu*/package/data/*.txt')):
    paras=clean(open(f,encoding='utf-8',errors='ignore').read()).split('\n\n')
    if len(paras)<3: paras=clean(open(f,encoding='utf-8',errors='ignore').read()).split('\n')
    t+=[p.replace('\n',' ').strip() for p in paras if len(p.strip())>40]
lines=[]
for p in t: # passages of about 500 characters, whole sentences
    cur=''
    for x in re.split(r'(?<=[.;!?])\s+',p):
        if cur and len(cur)+len(x)>500: lines.append(cur); cur=x
        else: cur=(cur+' '+x).strip()
    if cur: lines.append(cur)
open(out+'/address.txt','w').write('\n'.join(dict.fromkeys(lines))+'\n')
# scripture: KJV
raw=subprocess.run(['bible','-l','100000','-f','gen1:1-rev22:21'],input='',capture_output=True,text=True).stdout
v=[re.sub(r'^\S+\s+','',l.strip()) if re.match(r'^[A-Za-z0-9]+:?\d',l.strip()) else l.strip() for l in ascii_(raw).split('\n')]
open(out+'/scripture.txt','w').write('\n'.join(x for x in v if x)+'\n')
# glossary: WordNet
t=[]
for p in ['noun','verb','adj','adv']:
    for l in open(f'/usr/share/wordnet/data.{p}',encoding='latin1'):
        if l.startswith('  '): continue
        head,_,gl=l.partition(' | '); n=int(head.split()[3],16); w=head.split()[4].split('(')[0].replace('_',' ')
        t.append(f"{w} ({p}): {clean(gl)}.")
import random; random.Random(0).shuffle(t)
open(out+'/glossary.txt','w').write('\n'.join(ascii_(x) for x in t)+'\n')
# jargon: the Jargon File (paragraphs; tables and ASCII art left out)
import gzip
raw=gzip.open('/usr/share/dictd/jargon.dict.dz','rt',encoding='utf-8',errors='ignore').read().replace('\u00ad','')
t=[]
for para in re.split(r'\n\s*\n',raw):
    if re.search('[\u2500-\u257f]',para): continue
    x=' '.join(ascii_(para).split())
    if len(x)>40: t.append(x)
open(out+'/jargon.txt','w').write('\n'.join(t)+'\n')

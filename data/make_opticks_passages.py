"""Write opticks_passages.npz, the passages of Newton's Opticks and their embeddings.

Needs numpy and sentence-transformers; run once, by hand, with the text of the book and, where the model is not
to be downloaded, its folder: ``python data/make_opticks_passages.py Isaac.Newton-Opticks.txt [model]``.
data/README.md says where the text comes from. The file is committed, so neither the package nor its tests run this
script.
"""

import hashlib
import re
import sys
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer

TEXT_SHA256 = "d4a9ac22462b35e7821a4f2706c211093da678620a8f9997989ee7cf8d507bbd"
MODEL = "sentence-transformers/all-MiniLM-L6-v2"

# In words. The model reads 256 tokens and drops the rest, and Newton's sentences are long.
LONGEST = 75
SHORTEST = 20
SHORTEST_PARAGRAPH = 6

# A question, and words that occur in one passage only, which answers it.
QUERIES = [
    ("Why is the sky blue?", "the azure Colour of the Skies"),
    ("How is a rainbow made?", "this Bow is made by Refraction of the Sun's Light in drops of falling Rain"),
    ("Why do the stars twinkle?", "the twinkling of the fix'd Stars"),
    ("Where should an observatory be built?", "on the tops of the highest Mountains"),
    ("How did Newton build a telescope with a mirror?", "I contrived heretofore a Perspective by Reflexion"),
    ("How long does sunlight take to reach the Earth?", "spends about seven or eight Minutes of an Hour"),
    ("Why do old people need reading glasses?", "the decay of sight in old Men"),
    ("How does the eye tell the brain what it sees?", "excite Vibrations in the Tunica Retina"),
    ("What do you see when you press on your eye with a finger?", "presses either corner of his Eye"),
    ("Why does a swinging torch look like a ring of fire?", "If a burning Coal be nimbly moved round"),
    ("Why do dark clothes get hot in the sun?", "Do not black Bodies conceive heat more easily"),
    ("What makes gunpowder explode?", "The Explosion of Gun-powder arises therefore"),
    ("What colours does a diver see under water?", "in diving deep into the Sea"),
    ("Does water boil where there is no air?", "in the Vacuum will bubble and boil"),
    ("Which crystal shows everything twice?", "every Letter of the Book seen through it will appear double"),
    ("Why can we hear around a corner but not see around it?", "a Bell or a Cannon may be heard beyond a Hill"),
    ("What are the smallest particles of matter like?", "in solid, massy, hard, impenetrable"),
    ("How should science be done?", "the Investigation of difficult Things by the Method of Analysis"),
]

BOOK = re.compile(r"(?:THE )?(FIRST|SECOND|THIRD) BOOK")
NUMERALS = {"FIRST": "I", "SECOND": "II", "THIRD": "III"}
PART = re.compile(r"_PART ([IV]+)\._")
HEADING = re.compile(r"_?(AX|DEFIN|PROP)\._? ([IVX]+)|_?(DEFINITION)\b")
NUMBER = re.compile(r"_(Exper|Obs|Qu|Quest|Query)\.?_ (\d+)\.?\s*")
NAMES = {"AX": "Axiom", "DEFIN": "Definition", "DEFINITION": "Definition", "PROP": "Proposition"}
NAMES |= {"Exper": "Experiment", "Obs": "Observation", "Qu": "Query", "Quest": "Query", "Query": "Query"}
# Pictures, notes and tables.
NOT_PROSE = re.compile(r"\[(Illustration|Sidenote)|\[[A-Z]\] |.*\|", re.DOTALL)
ABBREVIATIONS = "".join(rf"(?<!\b{word}\.)" for word in ("Dr", "Fig", "Mr", "Part", "Prop", "Sect", "St"))
SENTENCE_END = re.compile(rf"(?<=[.?!]){ABBREVIATIONS}\s+(?=[A-Z(])")
CLAUSE_END = re.compile(r"(?<=[;:])\s+")


def words(text):
    """Count the words of a text."""
    return len(text.split())


def plain(paragraph):
    """Take out the marks of the transcription: italics, footnotes, and the brackets around Greek letters."""
    paragraph = re.sub(r"\[Greek: ([^]]*)\]", r"\1", " ".join(paragraph.split()))
    return re.sub(r"\[[A-Z]\]|_", "", paragraph)


def cut(paragraph):
    """Cut a paragraph into passages at the ends of sentences, and a long sentence at semicolons and colons too."""
    pieces = []
    for sentence in SENTENCE_END.split(paragraph):
        pieces += CLAUSE_END.split(sentence) if words(sentence) > LONGEST else [sentence]
    passages = [pieces[0]]
    for piece in pieces[1:]:
        if words(passages[-1]) >= SHORTEST and words(passages[-1]) + words(piece) > LONGEST:
            passages.append(piece)
        else:
            passages[-1] += " " + piece
    if len(passages) > 1 and words(passages[-1]) < SHORTEST:
        last = passages.pop()
        passages[-1] += " " + last
    return passages


def read_passages(text):
    """Return the passages in their order, and for each its section and its place in full."""
    passages, sections, places = [], [], []
    book = part = heading = number = ""
    for block in re.split(r"\n\s*\n", text):
        block = block.strip()
        if found := BOOK.match(block):
            book = "Book " + NUMERALS[found[1]]
        elif found := PART.match(block):
            part, heading, number = f"{book}, Part {found[1]}", "", ""
        elif found := HEADING.match(block):
            heading, number = " ".join(filter(None, (NAMES[found[1] or found[3]], found[2]))), ""
        elif part and not NOT_PROSE.match(block):
            if found := NUMBER.match(block):
                number = f"{NAMES[found[1]]} {found[2]}"
                block = block[found.end() :]
            if words(block) < SHORTEST_PARAGRAPH:
                continue
            section = "Book III, Queries" if number.startswith("Query") else part
            for passage in cut(plain(block)):
                passages.append(passage)
                sections.append(section)
                places.append(", ".join(filter(None, (part, heading, number))))
    return passages, sections, places


def find(words_of_passage, passages):
    """Return the index of the only passage that holds the words."""
    places = [i for i, passage in enumerate(passages) if words_of_passage in passage]
    if len(places) != 1:
        raise ValueError(f"{words_of_passage!r} is in {len(places)} passages instead of one")
    return places[0]


def main():
    """Cut the text, embed passages and queries, and write the file beside this script."""
    raw = Path(sys.argv[1]).read_bytes()
    if hashlib.sha256(raw).hexdigest() != TEXT_SHA256:
        raise ValueError(f"{sys.argv[1]} is not the text that data/README.md names: its SHA-256 differs")
    passages, sections, places = read_passages(raw.decode("utf-8"))
    section_names = list(dict.fromkeys(sections))
    queries = [query for query, _ in QUERIES]

    model = SentenceTransformer(sys.argv[2] if len(sys.argv) > 2 else MODEL, device="cpu")

    def embed(texts):
        return model.encode(texts, normalize_embeddings=True).astype(np.float16)

    arrays = {
        "embeddings": embed(passages),
        "passages": np.array(passages),
        "sections": np.array([section_names.index(section) for section in sections], dtype=np.uint8),
        "section_names": np.array(section_names),
        "places": np.array(places),
        "query_embeddings": embed(queries),
        "queries": np.array(queries),
        "query_answers": np.array([find(answer, passages) for _, answer in QUERIES], dtype=np.int32),
    }
    np.savez_compressed(Path(__file__).with_name("opticks_passages.npz"), **arrays)


if __name__ == "__main__":
    main()

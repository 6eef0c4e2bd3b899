"""Write sevis/analysis/class_groups.json: the classes of ImageNet-1k, and so of Tiny ImageNet-200, below telling nouns of WordNet 3.0.

    apt-get install wordnet-base && python tools/class_groups.py DATA_NOUN    # the file data.noun of that package

A class's id is the offset of its synset in that file, so the nouns above it follow from the file alone.
"""

import json
import sys
from pathlib import Path

from timm.data import ImageNetInfo

GROUPS = {  # as the page calls them, and their synsets; the many that say little to a reader (whole, chordate, commodity) are left out
    "animal": "n00015388",
    "mammal": "n01861778",
    "carnivore": "n02075296",
    "canine": "n02083346",
    "dog": "n02084071",
    "hunting dog": "n02087122",
    "terrier": "n02092468",
    "hound": "n02087551",
    "retriever": "n02099029",
    "spaniel": "n02101108",
    "working dog": "n02103406",
    "shepherd dog": "n02104523",
    "toy dog": "n02085374",
    "wolf": "n02114100",
    "fox": "n02118333",
    "feline": "n02120997",
    "cat": "n02121620",
    "big cat": "n02127808",
    "bear": "n02131653",
    "musteline mammal": "n02441326",
    "hoofed mammal": "n02370806",
    "ruminant": "n02399000",
    "rodent": "n02329401",
    "primate": "n02469914",
    "ape": "n02470325",
    "monkey": "n02484322",
    "aquatic mammal": "n02062017",
    "bird": "n01503061",
    "songbird": "n01525720",
    "game bird": "n02153203",
    "aquatic bird": "n01844917",
    "wading bird": "n02000954",
    "bird of prey": "n01604330",
    "parrot": "n01816887",
    "reptile": "n01661091",
    "snake": "n01726692",
    "lizard": "n01674464",
    "turtle": "n01662784",
    "amphibian": "n01627424",
    "salamander": "n01629276",
    "fish": "n02512053",
    "invertebrate": "n01905661",
    "arthropod": "n01767661",
    "insect": "n02159955",
    "beetle": "n02164464",
    "butterfly": "n02274259",
    "arachnid": "n01769347",
    "spider": "n01772222",
    "crustacean": "n01974773",
    "crab": "n01976957",
    "mollusk": "n01940736",
    "plant part": "n13086908",
    "fungus": "n12992868",
    "artifact": "n00021939",
    "vehicle": "n03100490",  # conveyance: WordNet counts trains and buses to these, not to its vehicles
    "wheeled vehicle": "n04576211",
    "motor vehicle": "n03791235",
    "car": "n02958343",
    "truck": "n04490091",
    "public transport": "n04019101",
    "military vehicle": "n03764276",
    "watercraft": "n04530566",
    "ship": "n04194289",
    "boat": "n02858304",
    "aircraft": "n02686568",
    "structure": "n04341686",
    "building": "n02913152",
    "bridge": "n02898711",
    "shop": "n04202417",
    "barrier": "n02796623",
    "clothing": "n03051540",
    "garment": "n03419014",
    "headgear": "n03502509",
    "footwear": "n03380867",
    "armor": "n02739668",
    "fabric": "n03309808",
    "furniture": "n03405725",
    "seat": "n04161981",
    "vessel for liquids": "n04531098",
    "bottle": "n02876657",
    "bag": "n02773037",
    "box": "n02883344",
    "tableware": "n04381994",
    "kitchen utensil": "n03621049",
    "home appliance": "n03528263",
    "musical instrument": "n03800933",
    "wind instrument": "n04586932",
    "stringed instrument": "n04338517",
    "percussion instrument": "n03915437",
    "keyboard instrument": "n03614532",
    "measuring instrument": "n03733925",
    "timepiece": "n04437953",
    "computer": "n03082979",
    "electronic equipment": "n03278248",
    "sports equipment": "n04285146",
    "ball": "n02778669",
    "tool": "n04451818",
    "weapon": "n04565375",
    "toiletry": "n04447443",
    "food": "n00021265 n07555863",  # what nourishes, and what is solid: only the second holds fruit and vegetables
    "dish": "n07557434",
    "baked goods": "n07622061",
    "fruit": "n07705931",
    "vegetable": "n07707451",
    "beverage": "n07881800",
    "geological formation": "n09287968",
    "elevation of land": "n09366317",
}


def read_parents(path: Path) -> dict[str, list[str]]:
    """The nouns right above each noun (pointers @ and @i), as wndb(5WN) describes the file."""
    parents = {}
    for line in path.read_text(encoding="ascii").splitlines():
        if line.startswith(" "):  # the licence
            continue
        offset, _, _, words, *rest = line.partition(" | ")[0].split()
        pointers = rest[2 * int(words, 16) + 1 :]
        pairs = zip(pointers[::4], pointers[1::4], strict=False)
        parents[f"n{offset}"] = [f"n{target}" for sign, target in pairs if sign in ("@", "@i")]
    return parents


def above(noun: str, parents: dict[str, list[str]]) -> set[str]:
    """A noun and all that are above it."""
    return {noun}.union(*(above(parent, parents) for parent in parents[noun]))


parents = read_parents(Path(sys.argv[1]))
nouns = {wnid: above(wnid, parents) for wnid in ImageNetInfo().label_names()}
groups = {name: [wnid for wnid, found in nouns.items() if found & set(synsets.split())] for name, synsets in GROUPS.items()}
target = Path(__file__).resolve().parent.parent / "sevis" / "analysis" / "class_groups.json"
lines = [f"{json.dumps(name)}: {json.dumps(' '.join(wnids))}" for name, wnids in groups.items()]
target.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="ascii")
print(f"{target}: {len(groups)} groups, {target.stat().st_size:,} bytes; the smallest holds {min(map(len, groups.values()))} classes")

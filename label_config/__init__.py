"""Label Studio's labelling interfaces that come with figureground; a catalog names them without ``.xml``."""

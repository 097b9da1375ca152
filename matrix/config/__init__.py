"""The files of configs/ and containers/, read into images, builds, trees and other nouns, and the cells of them."""
